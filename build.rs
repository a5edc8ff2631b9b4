//! Lists the files of `web/` so that the binary carries the page, and says what the build lacks.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::{env, fs};

/// Programs that the build of libopus runs (docs/decisions/0003-opus.md), and the Debian package of
/// each. cargo may run the build script of libopus before this one: then its panic of fifty lines
/// comes first, and only ./start, which looks before it builds, spares that.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("CMAKE", "cmake", "cmake"),
    ("CC", "cc", "build-essential"),
    ("MAKE", "make", "build-essential"),
];

fn main() {
    require_programs();
    println!("cargo:rerun-if-changed=web");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("web");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut code = String::from("/// Path and content of each file of the page.\n");
    code.push_str("static PAGE_FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file
            .strip_prefix(&root)
            .expect("found below it")
            .display()
            .to_string();
        let _ = writeln!(
            code,
            "    (\"/{name}\", include_bytes!({:?})),",
            file.display().to_string()
        );
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("page_files.rs"), code).expect("the build directory is writable");
}

/// Ends the build with one line where a program is missing. An environment variable (CMAKE, CC, MAKE)
/// may name another program.
fn require_programs() {
    for (variable, program, package) in PROGRAMS {
        println!("cargo:rerun-if-env-changed={variable}");
        let named = env::var(variable).unwrap_or_else(|_| (*program).to_owned());
        // A compiler's variable may hold arguments, or a wrapper before the compiler.
        let command = named.split_whitespace().next().unwrap_or(program);
        let found = Command::new(command)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok();
        if !found {
            eprintln!(
                "{command} is missing: apt-get install {package} (./start installs everything)"
            );
            exit(1);
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if matches!(
            path.extension().and_then(|extension| extension.to_str()),
            Some("html" | "css" | "js" | "svg" | "json" | "webmanifest")
        ) {
            files.push(path);
        }
    }
}
