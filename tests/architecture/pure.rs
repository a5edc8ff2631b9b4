//! Files that decide: they take events and the time and give actions. No sockets, clocks,
//! randomness, tasks or log in them, nor in the files that they import; of other folders they import
//! values alone.

use crate::imports::Imports;
use crate::tree::Tree;

/// By the begin of their names.
const PURE: &[&str] = &[
    "audio/",
    "call/browser_end.rs",
    "call/end_reason.rs",
    "call/error.rs",
    "call/ids.rs",
    "call/machine",
    "call/media_timeout.rs",
    "call/message.rs",
    "call/message_notice.rs",
    "call/record.rs",
    "call/record/",
    "call/refusal.rs",
    "call/ringback.rs",
    "call/transport_event.rs",
    "call/snapshot.rs",
    "codec",
    "media/error.rs",
    "media/pipeline/",
    "rtp/",
    "sdp/",
    "sip/stack/address.rs",
    "sip/stack/dialog.rs",
    "sip/stack/dialog_rules.rs",
    "sip/stack/domain.rs",
    "sip/stack/envelope.rs",
    "sip/stack/escapes.rs",
    "sip/stack/flow.rs",
    "sip/stack/headers.rs",
    "sip/stack/lists.rs",
    "sip/stack/message.rs",
    "sip/stack/method.rs",
    "sip/stack/multipart.rs",
    "sip/stack/name.rs",
    "sip/stack/next_hop.rs",
    "sip/stack/octets.rs",
    "sip/stack/reason.rs",
    "sip/stack/screening.rs",
    "sip/stack/session_timer.rs",
    "sip/stack/sips.rs",
    "sip/stack/target.rs",
    "sip/stack/transaction/",
    "sip/stack/transport_protocol.rs",
    "sip/stack/uri.rs",
    "sip/stack/via.rs",
    "sip_ws/bindings.rs",
    "sip_ws/called.rs",
    "sip_ws/calling.rs",
    "sip_ws/calls.rs",
    "sip_ws/client.rs",
    "sip_ws/context.rs",
    "sip_ws/digits.rs",
    "sip_ws/frame.rs",
    "sip_ws/incoming.rs",
    "sip_ws/leg.rs",
    "sip_ws/output.rs",
    "sip_ws/reason.rs",
    "sip_ws/registration.rs",
    "sip_ws/screening.rs",
    "sip_ws/session.rs",
    "sip_ws/step.rs",
    "sip_ws/tokens.rs",
    "sip_ws/transactions.rs",
    "srtp/",
    "stun/",
    "timer_queue.rs",
    "token_bucket.rs",
];

/// Folders of values: every pure file may import them.
const VALUES: &[&str] = &[
    "audio",
    "codec",
    "display_name",
    "guest",
    "srtp_keys",
    "redacted",
    "rtp",
    "sdp",
    "srtp",
    "stun",
    "timer_queue",
    "token_bucket",
];

/// What a pure file never names.
const BANNED: &[&str] = &[
    "tokio",
    "tracing",
    "metrics::",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "Instant::now",
    "SystemTime::now",
    "rand::",
];

fn is_pure(name: &str, pure: &[&str]) -> bool {
    pure.iter().any(|pure| name.starts_with(pure))
}

/// Pure files that name what they must not, or a file of their folder that is not pure.
fn impurities(tree: &Tree, pure: &[&str]) -> Vec<String> {
    let imports = Imports::of(tree);
    let mut wrong = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        if file.is_test() || !is_pure(&file.name, pure) {
            continue;
        }
        for line in file.code_lines() {
            for banned in BANNED {
                if line.contains(banned) {
                    wrong.push(format!("{} names {banned}: {line}", file.name));
                }
            }
        }
        for other in imports.of_file(tree, index) {
            let other = &tree.files[other];
            let family = file.module.starts_with(&other.module);
            let same = other.folder() == file.folder();
            let value = !same && VALUES.contains(&other.folder());
            if !family && !value && !is_pure(&other.name, pure) {
                wrong.push(format!("{} is pure and imports {}", file.name, other.name));
            }
        }
    }
    wrong
}

#[test]
fn pure_files_see_values_only() {
    let wrong = impurities(&Tree::of_product(), PURE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn impurity_is_found_in_a_file_and_in_what_it_imports() {
    let tree = Tree::new([
        ("lib.rs", "mod call;"),
        (
            "call/mod.rs",
            "mod machine; mod driver; mod talks; pub use driver::Driven;",
        ),
        ("call/machine.rs", "use super::Driven;"),
        (
            "call/talks.rs",
            "fn f() {\n    tracing::info!(\"said\");\n}",
        ),
        (
            "call/driver.rs",
            "pub struct Driven; fn f() { tokio::spawn(async {}); }",
        ),
    ]);
    let wrong = impurities(&tree, &["call/machine.rs", "call/talks.rs"]);
    assert_eq!(
        wrong,
        [
            "call/machine.rs is pure and imports call/driver.rs",
            "call/talks.rs names tracing: tracing::info!(\"said\");",
        ]
    );
}
