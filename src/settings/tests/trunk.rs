//! `[[trunk]]`: groups, choices, and the rules of its keys.

use super::*;

/// The one error of a `[[trunk]]` with these keys.
fn wrong_trunk(keys: &str) -> String {
    let text = format!("[[trunk]]\nname = 't'\ntarget = 'sip:h'\n{keys}\n");
    let errors = read_with(&text, &[]).expect_err(keys);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

#[test]
fn word_that_is_no_choice_names_its_key_and_the_choices() {
    for (keys, told) in [
        (
            "srtp = 'yes'",
            "FILE:4: trunk[0].srtp: \"yes\" is not usable, expected off, optional or required",
        ),
        (
            "prack = 'maybe'",
            "FILE:4: trunk[0].prack: \"maybe\" is not usable, expected off, supported or required",
        ),
        (
            "dtmf = 'bells'",
            "FILE:4: trunk[0].dtmf: \"bells\" is not usable, expected rfc4733, inband, info-relay \
             or info",
        ),
        (
            "identity = 'pid'",
            "FILE:4: trunk[0].identity: \"pid\" is not usable, expected from, pai, ppi, \
             associated or rpid",
        ),
        (
            "redirect = 'up'",
            "FILE:4: trunk[0].redirect: \"up\" is not usable, expected pass or follow",
        ),
        (
            "session_modification = 'info'",
            "FILE:4: trunk[0].session_modification: \"info\" is not usable, expected re-invite \
             or update",
        ),
        (
            "called_number = 'contact'",
            "FILE:4: trunk[0].called_number: \"contact\" is not usable, expected request, to or \
             p-called-party-id",
        ),
        (
            "[trunk.rtp]\nsources = 'all'",
            "FILE:5: trunk[0].rtp.sources: \"all\" is not usable, expected sdp, peer, heard or any",
        ),
        (
            "srtp = true",
            "FILE:4: trunk[0].srtp: true is not usable, expected ",
        ),
    ] {
        let error = wrong_trunk(keys);
        assert!(error.starts_with(told), "{error}");
    }
    let sources = read_with("[sip]\nunknown_sources = 'wave'\n", &[]).expect_err("no choice");
    let told = "FILE:2: sip.unknown_sources: \"wave\" is not usable, expected reject or drop";
    assert_eq!(sources, [told]);
}

#[test]
fn choice_is_read_from_file_and_variable() {
    let settings = read_with(
        "[[trunk]]\nname = 't'\ntarget = 'sip:h'\nsession_modification = 're-invite'\n\
         dtmf = 'info-relay'\ncalled_number = 'p-called-party-id'\n",
        &[
            ("TRUNKLINE_TRUNK__0__SRTP", "required"),
            ("TRUNKLINE_TRUNK__0__RTP__SOURCES", "peer"),
            ("TRUNKLINE_LOG__FORMAT", "json"),
        ],
    )
    .expect("it is usable");
    let trunk = &settings.trunk[0];
    assert_eq!(
        trunk.dialogs.session_modification,
        SessionModification::ReInvite
    );
    assert_eq!(trunk.digits.dtmf, Dtmf::InfoRelay);
    assert_eq!(
        trunk.callers.called_number,
        Some(CalledNumber::PCalledPartyId)
    );
    assert_eq!(trunk.audio.srtp, Srtp::Required);
    assert_eq!(trunk.rtp.sources, RtpSources::Peer);
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn groups_of_a_trunk_are_flat_in_the_file() {
    let settings = read_with(
        "[[trunk]]\nname = 't'\ntarget = 'sip:h'\nusername = 'u'\nptime = 30\n\
         transfer = false\ntrusted = true\ninband_digits = true\n\
         registration = { expires = 60 }\n",
        &[("TRUNKLINE_TRUNK__0__TLS__NAME", "h.example")],
    )
    .expect("it is usable");
    let trunk = &settings.trunk[0];
    assert_eq!(trunk.addressing.target, "sip:h");
    assert_eq!(trunk.account.username.as_deref(), Some("u"));
    assert_eq!((trunk.audio.ptime, trunk.audio.codecs.len()), (30, 2));
    assert!(!trunk.dialogs.transfer && trunk.callers.trusted && trunk.digits.inband_digits);
    assert_eq!(trunk.registration.expires, 60);
    assert_eq!(trunk.tls.name.as_deref(), Some("h.example"));
    // What is written can be read again, but for its secrets.
    let written = settings.to_toml().expect("settings are TOML");
    let again = read_with(&written, &[]).expect(&written);
    assert_eq!(again.to_toml().expect("settings are TOML"), written);
}

#[test]
fn trunks_of_a_variable_have_flat_groups_too() {
    let one = "[{ name = 't', target = 'sip:h', ptime = 30, tls = { verify = false } }]";
    let settings = read_with("", &[("TRUNKLINE_TRUNK", one)]).expect("it is usable");
    assert_eq!(settings.trunk[0].audio.ptime, 30);
    assert!(!settings.trunk[0].tls.verify);
    let wrong = "[{ name = 't', target = 'sip:h', ptimes = 30 }]";
    let errors = read_with("", &[("TRUNKLINE_TRUNK", wrong)]).expect_err("no such key");
    let told = "TRUNKLINE_TRUNK: trunk[0].ptimes: unknown key, expected trunk[0].ptime";
    assert_eq!(errors, [told]);
}

#[test]
fn unknown_key_of_a_trunk_names_the_nearest_of_any_group() {
    for (keys, told) in [
        (
            "pasword = 'hunter2'",
            "FILE:4: trunk[0].pasword: unknown key, expected trunk[0].password",
        ),
        (
            "redirect_host = []",
            "FILE:4: trunk[0].redirect_host: unknown key, expected trunk[0].redirect_hosts",
        ),
        (
            "[trunk.tls]\nnane = 'h'",
            "FILE:5: trunk[0].tls.nane: unknown key, expected trunk[0].tls.name",
        ),
    ] {
        assert_eq!(wrong_trunk(keys), told);
    }
    for group in ["'+audio' = 1", "[trunk.audio]", "audio = { ptime = 20 }"] {
        let error = wrong_trunk(group);
        assert!(error.contains("unknown key, expected "), "{error}");
        assert!(
            !error.contains("expected one of +") && !error.contains(", +"),
            "{error}"
        );
    }
}

#[test]
fn rule_of_a_trunk_key_names_it_with_its_line() {
    for (keys, told) in [
        (
            "ptime = 25",
            "FILE:4: trunk[0].ptime: 25 is not usable, expected 10, 20",
        ),
        (
            "try_timeout = 0",
            "FILE:4: trunk[0].try_timeout: \"0\" is not usable, expected 1 to 32",
        ),
        (
            "health_check = 3601",
            "FILE:4: trunk[0].health_check: \"3601\" is not usable, expected 0",
        ),
        (
            "min_se = 9",
            "FILE:4: trunk[0].min_se: \"9\" is not usable, expected at least 10",
        ),
        (
            "session_expires = 60",
            "FILE:4: trunk[0].session_expires: \"60\" is not usable, expected 0, or at least min_se",
        ),
        (
            "telephone_event_clocks = []",
            "FILE:4: trunk[0].telephone_event_clocks: \"[]\" is not usable, expected 8000, 48000",
        ),
        (
            "telephone_event_clocks = [8000, 16000]",
            "FILE:4: trunk[0].telephone_event_clocks: \"[8000, 16000]\" is not usable",
        ),
        (
            "registration = { contact_user = '' }",
            "FILE:4: trunk[0].registration.contact_user: \"\" is not usable, expected a user part",
        ),
        (
            "called_party_id = true\ncalled_number = 'to'",
            "FILE:5: trunk[0].called_number: \"to\" is not usable, expected p-called-party-id, or",
        ),
        (
            "register = true",
            "FILE:4: trunk[0].register: true is not usable, expected username and password",
        ),
        (
            "charging_vector = 'pass'",
            "FILE:4: trunk[0].charging_vector: \"pass\" is not usable, expected \"remove\", or trusted",
        ),
        (
            "charging_vector = 'icid-generated-at=192.0.2.1'",
            "FILE:4: trunk[0].charging_vector: ",
        ),
        (
            "trusted = true\nvisited_network_id = ''",
            "FILE:5: trunk[0].visited_network_id: \"\" is not usable, expected pass, remove",
        ),
        (
            "trusted = true\nvisited_network_id = \"a\\r\\nVia: x\"",
            "FILE:5: trunk[0].visited_network_id: ",
        ),
        (
            "[trunk.tls]\ncertificate = 'c'",
            "FILE:5: trunk[0].tls.certificate: one of two is not usable",
        ),
    ] {
        let error = wrong_trunk(keys);
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn redirect_hosts_are_names_and_addresses_alone() {
    let hosts = |hosts: &str| format!("redirect_hosts = ['pbx.example', {hosts}]");
    let usable = hosts("'edge_2.example', '192.0.2.7', '2001:db8::7'");
    let text = format!("[[trunk]]\nname = 't'\ntarget = 'sip:h'\n{usable}\n");
    assert!(read_with(&text, &[]).is_ok());
    for wrong in [
        "''",
        "'192.0.2.7:5060'",
        "'sip:pbx.example'",
        "'a b'",
        "'*.example'",
        "\"a\\r\\nb\"",
    ] {
        let error = wrong_trunk(&hosts(wrong));
        assert!(
            error.starts_with("FILE:4: trunk[0].redirect_hosts: "),
            "{error}"
        );
    }
}

/// What `[[trunk]]` of the documented file has as examples: keys without a default.
const EXAMPLES: &[&str] = &[
    "name",
    "target",
    "targets",
    "health_check",
    "outbound_proxy",
    "domain",
    "username",
    "auth_username",
    "password",
    "from_user",
    "accept_from",
    "advertise",
    "caller_id",
    "headers_to_client",
    "headers_from_client",
    "called_number",
    "registration.contact_user",
    "inbound_auth.username",
    "inbound_auth.password",
    "aka.key",
    "aka.op",
    "aka.opc",
    "tls.name",
    "tls.certificate",
    "tls.certificate_key",
];

/// Values by their keys, those of tables in it among them.
fn values(table: &toml::Table, prefix: &str, found: &mut Vec<(String, toml::Value)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => values(table, &format!("{key}."), found),
            value => found.push((key, value.clone())),
        }
    }
}

#[test]
fn documented_values_of_a_trunk_are_its_defaults() {
    let text = include_str!("../../../config/trunkline.toml");
    let block: String = text
        .lines()
        .skip_while(|line| *line != "# [[trunk]]")
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches('#').trim_start()))
        .collect();
    let documented: toml::Table = block.parse().expect("it is TOML");
    let documented = documented["trunk"][0].as_table().expect("a table").clone();
    let defaults = toml::Table::try_from(Trunk::default()).expect("it is TOML");
    let (mut written, mut known) = (Vec::new(), Vec::new());
    values(&documented, "", &mut written);
    values(&defaults, "", &mut known);
    for (key, value) in &written {
        if !EXAMPLES.contains(&key.as_str()) {
            let default = known.iter().find(|(known, _)| known == key);
            let default = default.map(|(_, value)| value);
            assert_eq!(Some(value), default, "{key} of config/trunkline.toml");
        }
    }
    assert!(written.len() > 60, "the whole block is read");
}
