//! Text as an address, a list of them, and a URI: what is written of an address is the same
//! address again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::sip::{Address, NextHop, escape_user, sip_uri, split_list, user_of};

fuzz_target!(|text: &str| {
    let total: usize = split_list(text).iter().map(|part| part.len()).sum();
    assert!(total <= text.len());
    for part in split_list(text) {
        if let Ok(address) = Address::parse(part) {
            let written = address.to_string();
            let again = Address::parse(&written).expect("what we write is readable");
            assert_eq!(address.uri, again.uri);
            assert_eq!(address.tag(), again.tag());
            assert_eq!(written, again.to_string());
        }
    }
    let _ = NextHop::of_uri(text);
    let user = user_of(text);
    if !user.contains('\u{fffd}') {
        let uri = sip_uri(&user, "host.example");
        assert_eq!(user_of(&uri), user, "{uri}");
    }
    assert!(escape_user(text).is_ascii());
});
