//! The configuration: what is read, what is refused, and how that is told.

mod trunk;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn read(text: &str) -> Result<Settings, String> {
    let folder = std::env::temp_dir().join(format!("trunkline-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}.toml", NEXT.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the temporary folder is writable");
    let settings = Settings::load(Some(&path)).map_err(|error| error.to_string());
    let _ = std::fs::remove_file(&path);
    settings
}

#[test]
fn the_documented_file_is_the_default() {
    let documented = read(include_str!("../../config/trunkline.toml")).expect("it is usable");
    let default = Settings::default();
    assert_eq!(documented.to_toml(), default.to_toml());
}

#[test]
fn every_key_of_the_settings_is_documented() {
    let documented = keys(include_str!("../../config/trunkline.toml"));
    let full = read(
        "[sign_in]\njwt_key = '0123456789abcdef0123456789abcdef'\njwt_audience = 'a'\n[sip]\nadvertise = '192.0.2.1'\ninstance = 'i'\n\
         [sip.tls]\ncertificate = 'c'\ncertificate_key = 'k'\nca = 'a'\nclient_ca = 'a'\n\
         [webrtc]\ncertificate = 'c'\ncertificate_key = 'k'\n\
         [media]\nrtp_address = '192.0.2.1'\nrtp_advertise = '192.0.2.1'\n\
         [[user]]\nname = 'u'\npassword = 'p'\ndisplay_name = 'd'\ntrunk = 't'\ntrunk_username = 'u'\ntrunk_auth_username = 'a'\ntrunk_password = 'p'\n\
         [[trunk]]\nname = 't'\ntarget = 'sip:h'\ndomain = 'd'\nusername = 'u'\nauth_username = 'a'\ncalled_number = 'to'\npassword = 'p'\nfrom_user = 'f'\nhealth_check = 30\noutbound_proxy = 'sip:p;lr'\n\
         advertise = '192.0.2.1'\ncaller_id = [{ match = 'x', to = 'y' }]\ntargets = []\n\
         [trunk.registration]\ncontact_user = 'c'\n\
         [trunk.tls]\nname = 'n'\ncertificate = 'c'\ncertificate_key = 'k'\n\
         [trunk.inbound_auth]\nusername = 'i'\npassword = 'p'\n\
         [trunk.aka]\nkey = 'k'\nopc = 'o'\n\
         [[route]]\nmatch = 'x'\ntrunk = 't'\n[[inbound]]\nmatch = 'x'\ntrunk = 't'\n",
    )
    .expect("it is usable");
    let written = full.to_toml().expect("settings are TOML");
    let mut written = keys(&written);
    // Each excludes another one.
    written.extend(["trunk.aka.op", "sign_in.jwt_key_file"].map(str::to_owned));
    let missing: Vec<_> = written.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are not in config/trunkline.toml"
    );
    let unknown: Vec<_> = documented.difference(&written).collect();
    assert!(unknown.is_empty(), "{unknown:?} are keys of no table");
}

/// The keys of a file with their tables, `trunk.tls.name`, those that are commented out among them.
fn keys(text: &str) -> std::collections::BTreeSet<String> {
    let is_name = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b"_.".contains(&b))
    };
    // Arrays of tables that the documented file has in one line.
    let inline = ["trunk.targets", "trunk.caller_id"];
    let mut table = String::new();
    let mut found = std::collections::BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let header = line.split(']').next().unwrap_or_default();
        let name = header.trim_start_matches('[');
        if name.len() < header.len() && !name.is_empty() && is_name(name) {
            table = name.to_owned();
            if inline.contains(&name) {
                found.insert(table.clone());
            }
        } else if let Some((key, _)) = line.split_once(" = ")
            && is_name(key)
            && !inline.contains(&table.as_str())
        {
            found.insert(format!("{table}.{key}"));
        }
    }
    found
}

#[test]
fn an_error_names_the_key_and_what_was_expected() {
    for (text, words) in [
        ("[http]\nlisten = 5", ["http.listen", "socket address"]),
        ("[http]\nlisen = '1'", ["lisen", "listen"]),
        (
            "[media]\nopus_complexity = 11",
            ["media.opus_complexity", "0 to 10"],
        ),
        (
            "[[route]]\nmatch = 'x'\ntrunk = 'none'",
            ["route[0].trunk", "name of a [[trunk]]"],
        ),
        (
            "[[trunk]]\nname = 'a'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['b']",
            ["route[0].fallback", "\"b\""],
        ),
        (
            "[[trunk]]\nname = 'a'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['a']",
            ["route[0].fallback", "each once"],
        ),
        (
            "[[trunk]]\nname = 'a'\n[[trunk]]\nname = 'b'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['b', 'b']",
            ["route[0].fallback", "each once"],
        ),
        (
            "[[trunk]]\nname = 't'\naka = { key = 'k' }",
            ["trunk[0].aka.key", "aka.opc"],
        ),
        (
            "[[trunk]]\nname = 't'\n[trunk.inbound_auth]\nusername = 'k'",
            ["trunk[0].inbound_auth.username", "together"],
        ),
        ("[log]\nformat = 'xml'", ["log.format", "human"]),
        (
            "[http]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']",
            ["http.trusted_proxies", "\"proxy\""],
        ),
        (
            "[http]\nhost_names = ['https://phone.example']",
            ["http.host_names", "without scheme"],
        ),
        (
            "[[user]]\nname = 'u'\npassword = 'p'\ntrunk = 'none'",
            ["user[0].trunk", "name of a [[trunk]]"],
        ),
        (
            "[[user]]\nname = 'u'\npassword = 'p'\ntrunk_register = 'often'",
            ["user[0].trunk_register", "signed-in"],
        ),
        ("[http\n", ["expected", "line"]),
    ] {
        let error = read(text).expect_err(text);
        for word in words {
            assert!(error.contains(word), "{error:?} should say {word:?}");
        }
    }
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "trunkline-variables-{}-{}.toml",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("the temporary folder is writable");
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
    let settings = Settings::read(Some(&path), variables, &|_| Vec::new());
    let _ = std::fs::remove_file(&path);
    let file = path.display().to_string();
    settings.map_err(|Errors(errors)| {
        let lines = errors.iter().map(ToString::to_string);
        lines.map(|line| line.replace(&file, "FILE")).collect()
    })
}

#[test]
fn variable_is_read_by_the_type_of_its_key() {
    let settings = read_with(
        "[[trunk]]\nname = 'a'\npassword = 'old'\n[sip]\ninstance = 'file'\n",
        &[
            ("TRUNKLINE_SIP__INSTANCE", "0123"),
            ("TRUNKLINE_SIP__IDLE_TIMEOUT", "0077"),
            ("TRUNKLINE_SIP__LISTEN", "['udp:127.0.0.1:5070']"),
            ("TRUNKLINE_WEBRTC__LITE", "true"),
            ("TRUNKLINE_MEDIA__RTP_ADDRESS", "192.0.2.1"),
            (
                "TRUNKLINE_MEDIA__RTP_ADVERTISE",
                "['192.0.2.2', '2001:db8::1']",
            ),
            ("TRUNKLINE_TRUNK__0__PASSWORD", "000"),
            ("TRUNKLINE_USER", "[{ name = '007', password = '1e3' }]"),
            ("TRUNKLINE_DEBIAN_MIRROR", "of another program"),
            ("PATH", "/bin"),
        ],
    )
    .expect("it is usable");
    assert_eq!(settings.sip.instance.as_deref(), Some("0123"));
    assert_eq!(settings.sip.idle_timeout, 77);
    assert_eq!(settings.sip.listen, ["udp:127.0.0.1:5070"]);
    assert!(settings.webrtc.lite);
    assert_eq!(settings.media.rtp_address.len(), 1);
    assert_eq!(settings.media.rtp_advertise.len(), 2);
    let password = settings.trunk[0].account.password.as_ref().expect("set");
    assert_eq!(password.0.reveal(), "000");
    assert_eq!(settings.user[0].name, "007");
    assert_eq!(settings.user[0].password.0.reveal(), "1e3");
}

#[test]
fn variable_that_is_wrong_is_named_and_hides_no_other_error() {
    let errors = read_with(
        "[calls]\nmax = 5\n",
        &[
            ("TRUNKLINE_SIP__IDLE_TIMEOUT", "soon"),
            ("TRUNKLINE_HTTP__ALLOWED_ORIGINS", "['a'"),
            ("TRUNKLINE_USER", "hunter2"),
            ("TRUNKLINE_TRUNK", "'hunter2'"),
            ("TRUNKLINE_HTTP__LISEN", "x"),
            ("TRUNKLINE_ROUTE__3__TO", "x"),
            ("TRUNKLINE_SIGN_IN__JWT_KEY", ""),
        ],
    )
    .expect_err("all are wrong");
    for start in [
        "TRUNKLINE_SIP__IDLE_TIMEOUT: sip.idle_timeout: \"soon\" is not usable, expected a whole",
        "TRUNKLINE_HTTP__ALLOWED_ORIGINS: http.allowed_origins: not TOML",
        "TRUNKLINE_USER: user: not TOML",
        "TRUNKLINE_TRUNK: trunk: its value is not usable, expected a list",
        "TRUNKLINE_HTTP__LISEN: http.lisen: unknown key, expected http.listen",
        "TRUNKLINE_ROUTE__3__TO: route",
        "TRUNKLINE_SIGN_IN__JWT_KEY: sign_in.jwt_key: ***",
    ] {
        let told = errors.iter().any(|line| line.starts_with(start));
        assert!(told, "{start} in {errors:#?}");
    }
    let all = errors.join("\n");
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn errors_are_told_all_at_once_with_their_lines() {
    let errors = read_with(
        "[http]\nlisen = '1'\nmax_sockets = 'many'\n\n[log]\nformat = 'xml'\n\
         [[user]]\nname = 'u'\npasword = 'hunter2'\n[[user]]\nname = 'Guest-1'\npassword = 12345\n\
         [[route]]\nmatch = 'x'\ntrunk = 'none'\notherwise = 'maybe'\n",
        &[],
    )
    .expect_err("much is wrong");
    for start in [
        "FILE:2: http.lisen: unknown key, expected http.listen",
        "FILE:3: http.max_sockets: \"many\" is not usable, expected a whole number",
        "FILE:6: log.format: \"xml\" is not usable",
        "FILE:7: user[0].password: is missing, expected a secret",
        "FILE:9: user[0].pasword: unknown key, expected user[0].password",
        "FILE:11: user[1].name: \"Guest-1\" is not usable",
        "FILE:12: user[1].password: *** is not usable, expected a string",
        "FILE:15: route[0].trunk: \"none\" is not usable",
        "FILE:16: route[0].otherwise: \"maybe\" is not usable",
    ] {
        let told = errors.iter().any(|line| line.starts_with(start));
        assert!(told, "{start} in {errors:#?}");
    }
    assert_eq!(errors.len(), 9, "{errors:#?}");
    let all = errors.join("\n");
    assert!(!all.contains("hunter2") && !all.contains("12345"), "{all}");
    let syntax = read_with("[http]\nlisten = \n[log\n", &[]).expect_err("no TOML");
    assert!(syntax[0].starts_with("FILE:2: not TOML"), "{syntax:?}");
}

#[test]
fn empty_secrets_are_refused_wherever_they_stand() {
    let key = "0123456789abcdef0123456789abcdef";
    for (text, wrong) in [
        ("[[user]]\nname = 'u'\npassword = ''\n", "user[0].password"),
        (
            "[[user]]\nname = 'u'\npassword = '  '\n",
            "user[0].password",
        ),
        (
            "[[user]]\nname = 'u'\npassword = 'p'\ntrunk_password = ''\n",
            "user[0].trunk_password",
        ),
        (
            "[[trunk]]\nname = 't'\npassword = ''\n",
            "trunk[0].password",
        ),
        (
            "[[trunk]]\nname = 't'\n[trunk.inbound_auth]\nusername = 'u'\npassword = ''\n",
            "trunk[0].inbound_auth.password",
        ),
        (
            "[webrtc]\nice_servers = [{ urls = ['turn:t'], credential = '' }]\n",
            "webrtc.ice_servers[0].credential",
        ),
        (
            "[sign_in]\njwt_audience = 'a'\njwt_key = ''\n",
            "sign_in.jwt_key",
        ),
        (
            "[sign_in]\njwt_audience = 'a'\njwt_key = 'short'\n",
            "sign_in.jwt_key",
        ),
    ] {
        let errors = read_with(text, &[]).expect_err(text);
        let line = format!("{wrong}: ***");
        let told = errors.iter().any(|error| error.contains(&line));
        assert!(told, "{errors:?}");
    }
    let no_audience = format!("[sign_in]\njwt_key = '{key}'\n");
    let errors = read_with(&no_audience, &[]).expect_err("no audience");
    assert!(errors[0].contains("sign_in.jwt_audience: is missing"));
}

#[test]
fn limits_of_sign_ins_are_checked() {
    for (key, wrong, expected) in [
        ("max_failures_per_address", "0", "1 to 4294967295"),
        ("max_failures_per_user_and_address", "0", "1 to 4294967295"),
        ("max_failures_per_user", "0", "1 to 4294967295"),
        ("failure_window", "0", "1 to 86400"),
        ("failure_window", "86401", "1 to 86400"),
        ("refusal_delay", "9", "0 to 8"),
    ] {
        let text = format!("[sign_in]\n{key} = {wrong}\n");
        let errors = read_with(&text, &[]).expect_err(&text);
        let line = format!("sign_in.{key}: {wrong}");
        let told = |error: &String| error.contains(&line) && error.contains(expected);
        assert!(errors.iter().any(told), "{errors:?}");
    }
    let most = "[sign_in]\nrefusal_delay = 0\nfailure_window = 86400\n";
    assert!(read_with(most, &[]).is_ok());
}

#[test]
fn guests_are_let_in_by_default_only_where_nothing_is_configured() {
    let takes = |text: &str| read_with(text, &[]).expect(text).takes_guests();
    let user = "[[user]]\nname = 'u'\npassword = 'p'\n";
    assert!(takes(""));
    assert!(!takes(user));
    assert!(!takes("[[trunk]]\nname = 't'\n"));
    assert!(!takes(
        "[sign_in]\njwt_audience = 'a'\njwt_key_file = '/etc/key'\n"
    ));
    assert!(takes(&format!("[sign_in]\nanonymous = true\n{user}")));
    assert!(!takes("[sign_in]\nanonymous = false\n"));
}

#[test]
fn names_of_guests_are_refused_wherever_others_stand() {
    let trunk = "[[trunk]]\nname = 't'\n";
    for (text, key) in [
        (
            "[[user]]\nname = 'GUEST-1'\npassword = 'p'\n",
            "user[0].name",
        ),
        (
            "[[inbound]]\nmatch = '(.*)'\nuser = 'guest-$1'\n",
            "inbound[0].user",
        ),
        ("from_user = 'guest-1'\n", "trunk[0].from_user"),
        (
            "caller_id = [{ match = '(.*)', to = 'Guest-$1' }]\n",
            "trunk[0].caller_id[0].to",
        ),
        (
            "[[route]]\nmatch = 'x'\ntrunk = 't'\nusers = ['guest-1']\n",
            "route[0].users",
        ),
    ] {
        let errors = read_with(&format!("{trunk}{text}"), &[]).expect_err(text);
        assert!(errors[0].contains(key), "{errors:?}");
    }
}

#[test]
fn credentials_are_never_written() {
    let settings = read("[[user]]\nname = 'u'\npassword = 'hunter2'").expect("it is usable");
    let written = format!(
        "{settings:?}{}",
        settings.to_toml().expect("settings are TOML")
    );
    assert!(!written.contains("hunter2"), "{written}");
    assert!(written.contains("***"));
}
