//! `trunkline check`, and what a start says on standard output.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Exit code of a configuration that cannot be used.
const EXIT_CONFIG: i32 = 78;

/// A configuration file that is removed in the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("trunkline-check-{name}-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("the temporary folder is writable");
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The lines of `trunkline check` on standard error, `FILE` for the file's name, and its exit code.
fn check(name: &str, text: &str, variables: &[(&str, &str)]) -> (Vec<String>, Option<i32>) {
    let file = File::new(name, text);
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["check", "--config"])
        .arg(&file.0)
        .envs(variables.iter().copied())
        .output()
        .expect("the command runs");
    let path = file.0.display().to_string();
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    let lines = errors.lines().map(|line| line.replace(&path, "FILE"));
    (lines.collect(), output.status.code())
}

fn assert_told(lines: &[String], starts: &[&str]) {
    for start in starts {
        let told = lines.iter().any(|line| line.starts_with(start));
        assert!(told, "{start} in {lines:#?}");
    }
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
}

#[test]
fn check_sockets_that_conflict_are_errors_with_their_lines() {
    let text = "[http]\nlisten = '127.0.0.1:47001'\n[webrtc]\naddresses = ['127.0.0.1']\nport = 47010\n\
                [media]\nworkers = 2\nrtp_ports = '47020-47029'\n\
                [sip]\nlisten = [\n  'udp:127.0.0.1:47002',\n  'udp:127.0.0.1:47002',\n  'tcp:0.0.0.0:47001',\n  \
                'udp:127.0.0.1:47022',\n  'udp:127.0.0.1:47011',\n]\n";
    let (lines, code) = check("conflicts", text, &[]);
    assert_eq!(code, Some(EXIT_CONFIG), "{lines:#?}");
    assert_told(
        &lines,
        &[
            "trunkline: FILE:5: webrtc.port: 47010 is not usable, expected UDP ports of their own",
            "trunkline: FILE:8: media.rtp_ports: \"47020-47029\" is not usable",
            "trunkline: FILE:12: sip.listen[1]: \"udp:127.0.0.1:47002\" is not usable",
            "trunkline: FILE:13: sip.listen[2]: \"tcp:0.0.0.0:47001\" is not usable",
        ],
    );
}

#[test]
fn check_conflict_with_a_wrong_key_is_not_told() {
    // The range is wrong: whether the port is within it is not known.
    let text = "[media]\nrtp_ports = '30000-20000'\n[webrtc]\nport = 25000\n";
    let (lines, code) = check("order", text, &[]);
    assert_eq!(code, Some(EXIT_CONFIG));
    let start = "trunkline: FILE:2: media.rtp_ports: \"30000-20000\" is not usable, expected \
                 FIRST-LAST, the lower port first: 20000-30000";
    assert_told(&lines, &[start]);
}

#[test]
fn check_conflict_in_a_variable_names_the_variable() {
    let listen = "['udp:127.0.0.1:47102', 'udp:127.0.0.1:47102']";
    let (lines, code) = check("variable", "", &[("TRUNKLINE_SIP__LISTEN", listen)]);
    assert_eq!(code, Some(EXIT_CONFIG));
    let start = "trunkline: TRUNKLINE_SIP__LISTEN: sip.listen[1]: \"udp:127.0.0.1:47102\" is not";
    assert_told(&lines, &[start]);
}

#[test]
fn check_ports_beyond_their_range_are_errors_with_their_lines() {
    let text = "[http]\nlisten = '127.0.0.1:65536'\n[sip]\nlisten = ['udp:127.0.0.1:47202', 'udp:127.0.0.1:70000']\n\
                dns_servers = ['192.0.2.1:99999']\n[[trunk]]\nname = 'a'\ntarget = 'sip:192.0.2.1:70000'\n\
                [[trunk]]\nname = 'b'\ntarget = 'sip:[2001:db8::1]:70000'\n[[trunk]]\nname = 'c'\n\
                target = 'sip:192.0.2.1'\noutbound_proxy = 'sip:192.0.2.1:65536;lr'\n";
    let (lines, code) = check("ports", text, &[]);
    assert_eq!(code, Some(EXIT_CONFIG));
    assert_told(
        &lines,
        &[
            "trunkline: FILE:2: http.listen: \"127.0.0.1:65536\"",
            "trunkline: FILE:4: sip.listen[1]: \"udp:127.0.0.1:70000\"",
            "trunkline: FILE:5: sip.dns_servers: \"192.0.2.1:99999\"",
            "trunkline: FILE:8: trunk[0].target: \"sip:192.0.2.1:70000\"",
            "trunkline: FILE:11: trunk[1].target: \"sip:[2001:db8::1]:70000\"",
            "trunkline: FILE:15: trunk[2].outbound_proxy: \"sip:192.0.2.1:65536;lr\"",
        ],
    );
    let range = "with a PORT from 0 to 65535";
    assert!(lines.iter().all(|line| line.ends_with(range)), "{lines:#?}");
}

#[test]
fn check_control_characters_of_double_quotes_are_errors() {
    let text = "[[trunk]]\nname = 'a'\ntarget = 'sip:192.0.2.1'\n[[route]]\nmatch = \"\\b12\"\ntrunk = 'a'\n\
                [[inbound]]\nmatch = \"12\\f\"\n[[inbound]]\nmatch = '\\b12'\n";
    let (lines, code) = check("control", text, &[]);
    assert_eq!(code, Some(EXIT_CONFIG));
    let starts = [
        "trunkline: FILE:5: route[0].match: ",
        "trunkline: FILE:8: inbound[0].match: ",
    ];
    assert_told(&lines, &starts);
}

/// What is usable, with an error or two hidden in it.
const USABLE: &str = "[http]\nlisten = '127.0.0.1:0'\n[sip]\nlisten = ['udp:127.0.0.1:0']\n\
                      [[user]]\nname = 'alice'\npassword = 'changeme'\n\
                      [[trunk]]\nname = 'a'\ntarget = 'sip:192.0.2.1'\nhealth_check = 0\n\
                      [[route]]\nmatch = '.'\ntrunk = 'a'\nusers = ['alic']\n\
                      [[inbound]]\nmatch = '.'\nuser = 'Alice'\n";

#[test]
fn check_what_is_hardly_meant_is_a_warning() {
    let (lines, code) = check(
        "warnings",
        USABLE,
        &[("TRUNKLINE_HTTP_LISTEN", "0.0.0.0:80")],
    );
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_told(
        &lines,
        &[
            "trunkline: warning: FILE:7: user[0].password: *** is the placeholder",
            "trunkline: warning: FILE:15: route[0].users[0]: no [[user]] has the name \"alic\"; the nearest is \"alice\"",
            "trunkline: warning: FILE:18: inbound[0].user: no [[user]] has the name \"Alice\"; the nearest is \"alice\"",
            "trunkline: warning: TRUNKLINE_HTTP_LISTEN: is not read, parts of a key are joined by two underscores: TRUNKLINE_HTTP__LISTEN",
        ],
    );
    assert!(!lines.join("\n").contains("changeme"), "{lines:#?}");
    let (lines, code) = check(
        "defaults",
        "[http]\nlisten = '127.0.0.1:0'\n[sip]\nlisten = ['udp:127.0.0.1:0']\n",
        &[],
    );
    assert_eq!((lines, code), (Vec::new(), Some(0)));
}

/// The first line of a start on standard output.
fn announced(name: &str, more: &str) -> String {
    let file = File::new(
        name,
        &format!("{USABLE}[webrtc]\naddresses = ['127.0.0.1']\n{more}"),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .arg("--config")
        .arg(&file.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the gateway starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("a pipe");
    let read = BufReader::new(output).read_line(&mut line);
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    read.expect("text");
    line
}

#[test]
fn start_names_echo_only_where_it_is_answered() {
    let line = announced("echo", "");
    assert!(
        line.starts_with("Trunkline is up. Open http://127.0.0.1:"),
        "{line}"
    );
    assert!(line.ends_with("/ and dial echo.\n"), "{line}");
    let line = announced("no-echo", "[built_in]\nenabled = false\n");
    assert!(
        line.starts_with("Trunkline is up. Open http://127.0.0.1:"),
        "{line}"
    );
    assert!(line.ends_with("/.\n"), "{line}");
}
