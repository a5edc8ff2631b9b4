//! Which connection a contact is reached by.

use std::time::{Duration, Instant};

use crate::call::EndpointId;
use crate::sip_ws::bindings::{Binding, Bindings, Change, TooMany};
use crate::sip_ws::registration::{Contact, Instance};

#[expect(
    clippy::disallowed_methods,
    reason = "where time begins does not matter"
)]
fn now() -> Instant {
    Instant::now()
}

fn binding(endpoint: u64, urn: Option<&str>, reg_id: u32, now: Instant) -> Binding {
    Binding {
        contact: Contact {
            uri: format!("sip:c{endpoint}@x.invalid"),
            instance: urn.map(|urn| Instance {
                urn: urn.to_owned(),
                reg_id: Some(reg_id),
            }),
        },
        endpoint: EndpointId(endpoint),
        expires: now + Duration::from_secs(600),
    }
}

fn added() -> Change {
    Change {
        replaced: Vec::new(),
        is_new: true,
    }
}

#[test]
fn same_instance_on_a_new_connection_replaces_the_old_one() {
    let now = now();
    let mut bindings = Bindings::default();
    assert_eq!(
        bindings.bind("alice", binding(1, Some("<urn:a>"), 1, now)),
        Ok(added())
    );
    let replacing = bindings.bind("alice", binding(2, Some("<urn:a>"), 1, now));
    let expected = Change {
        replaced: vec![EndpointId(1)],
        is_new: true,
    };
    assert_eq!(replacing, Ok(expected));
    let bound = bindings.of("alice", now);
    assert_eq!(bound.len(), 1);
    assert_eq!(bound[0].contact.uri, "sip:c2@x.invalid");
    assert_eq!(bound[0].seconds, 600);
    assert!(!bindings.remove("alice", EndpointId(1)), "it was replaced");
}

#[test]
fn other_instance_reg_id_or_user_stands_beside() {
    let now = now();
    let mut bindings = Bindings::default();
    for (user, binding) in [
        ("alice", binding(1, Some("<urn:a>"), 1, now)),
        ("alice", binding(2, Some("<urn:a>"), 2, now)),
        ("alice", binding(3, Some("<urn:b>"), 1, now)),
        ("alice", binding(4, None, 0, now)),
        ("alice", binding(5, None, 0, now)),
        ("bob", binding(6, Some("<urn:a>"), 1, now)),
    ] {
        assert_eq!(bindings.bind(user, binding), Ok(added()));
    }
    assert_eq!(bindings.of("alice", now).len(), 5);
    let removed = bindings.remove_all("alice");
    assert_eq!(removed, (1..=5).map(EndpointId).collect::<Vec<_>>());
    assert_eq!(bindings.of("bob", now).len(), 1);
}

#[test]
fn connection_has_one_binding_whatever_it_registers() {
    let now = now();
    let mut bindings = Bindings::default();
    let _ = bindings.bind("alice", binding(1, Some("<urn:a>"), 1, now));
    let refreshed = bindings.bind("alice", binding(1, None, 0, now));
    let expected = Change {
        replaced: Vec::new(),
        is_new: false,
    };
    assert_eq!(refreshed, Ok(expected));
    assert_eq!(bindings.of("alice", now).len(), 1);
}

#[test]
fn bindings_of_one_user_are_bounded() {
    let now = now();
    let mut bindings = Bindings::default();
    for endpoint in 0..64 {
        assert_eq!(
            bindings.bind("alice", binding(endpoint, None, 0, now)),
            Ok(added())
        );
    }
    assert_eq!(
        bindings.bind("alice", binding(64, None, 0, now)),
        Err(TooMany)
    );
    assert!(bindings.bind("alice", binding(63, None, 0, now)).is_ok());
    assert!(bindings.bind("bob", binding(64, None, 0, now)).is_ok());
}
