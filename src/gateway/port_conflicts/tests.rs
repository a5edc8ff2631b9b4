//! Which sockets of one configuration exclude each other.

use super::*;
use crate::settings::Trunk;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The errors of a configuration with four workers on a machine with one address.
fn conflicts(listen: &[&str], change: impl FnOnce(&mut Settings)) -> Vec<String> {
    let mut settings = Settings::default();
    settings.sip.listen = listen.iter().map(|text| (*text).to_owned()).collect();
    settings.media.rtp_address = vec![ip("10.0.0.5")];
    change(&mut settings);
    let plan = Plan::new(&settings).expect("a plan");
    let errors = find(&settings, &plan, &[ip("10.0.0.5"), ip("127.0.0.1")], 4);
    let located = errors.into_iter().map(|mut error| {
        // As where the file is known: the first of its keys has the place.
        error
            .key
            .truncate(error.key.find(',').unwrap_or(error.key.len()));
        error.to_string()
    });
    located.collect()
}

/// That there is one error, with these words.
fn assert_one(errors: &[String], words: &[&str]) {
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in words {
        assert!(errors[0].contains(word), "{} should say {word}", errors[0]);
    }
}

#[test]
fn sip_listener_written_twice_is_refused() {
    for (first, second) in [
        ("udp:10.0.0.5:5060", "udp:10.0.0.5:5060"),
        ("tcp:10.0.0.5:5060", "TCP:10.0.0.5:5060"),
        ("udp:0.0.0.0:5060", "udp:10.0.0.5:5060"),
        ("udp:10.0.0.5:5060", "udp:0.0.0.0:5060"),
        ("udp:[::]:5060", "udp:[2001:db8::1]:5060"),
        ("udp:[::1]:5060", "udp:[0:0::1]:5060"),
    ] {
        let errors = conflicts(&[first, second], |_| {});
        let (written, other) = (
            format!("{second:?} is not"),
            format!("sip.listen[0] = {first:?}"),
        );
        assert_one(&errors, &["sip.listen[1]", &written, "of its own", &other]);
    }
}

#[test]
fn sip_listeners_beside_each_other_are_taken() {
    for listen in [
        &["udp:10.0.0.5:5060", "tcp:10.0.0.5:5060"] as &[&str],
        &["udp:10.0.0.5:5060", "udp:10.0.0.6:5060"],
        &["udp:10.0.0.5:5060", "udp:10.0.0.5:5061"],
        &["udp:10.0.0.5:0", "udp:10.0.0.5:0"],
        // Two listeners, the second of IPv6 alone.
        &["udp:0.0.0.0:5060", "udp:[::]:5060"],
        &["udp:[fe80::1%2]:5060", "udp:[fe80::1%3]:5060"],
        // Without a certificate it opens no socket.
        &["tcp:10.0.0.5:5061", "tls:10.0.0.5:5061"],
    ] {
        assert_eq!(conflicts(listen, |_| {}), Vec::<String>::new());
    }
}

#[test]
fn tls_listener_with_a_certificate_conflicts_with_tcp() {
    let errors = conflicts(&["tcp:10.0.0.5:5061", "tls:10.0.0.5:5061"], |settings| {
        settings.sip.tls.certificate = Some("sip.pem".into());
        settings.sip.tls.certificate_key = Some("sip.key".into());
    });
    assert_one(&errors, &["sip.listen[1]", "TCP 10.0.0.5:5061"]);
}

#[test]
fn http_and_sip_by_tcp_on_one_port_are_refused() {
    for (http, sip) in [
        ("10.0.0.5:8080", "tcp:10.0.0.5:8080"),
        ("0.0.0.0:8080", "tcp:10.0.0.5:8080"),
        // By default a socket of HTTP takes both families.
        ("[::]:8080", "tcp:10.0.0.5:8080"),
        ("10.0.0.5:8080", "tcp:[::]:8080"),
    ] {
        let errors = conflicts(&[sip], |settings| {
            settings.http.listen = http.parse().expect("an address");
        });
        assert_one(&errors, &["sip.listen[0]", "TCP port", "http.listen"]);
    }
    let beside = conflicts(&["udp:10.0.0.5:8080"], |settings| {
        settings.http.listen = "10.0.0.5:8080".parse().expect("an address");
    });
    assert_eq!(beside, Vec::<String>::new(), "UDP and TCP");
    // The default of SIP is not what was written.
    let defaults = Sip::default().listen;
    let defaults: Vec<&str> = defaults.iter().map(String::as_str).collect();
    let errors = conflicts(&defaults, |settings| {
        settings.http.listen = "127.0.0.1:5060".parse().expect("an address");
    });
    assert_one(
        &errors,
        &["http.listen: \"127.0.0.1:5060\"", "sip.listen[1]"],
    );
}

#[test]
fn worker_ports_and_sip_by_udp_are_refused() {
    for (port, addresses) in [(5060, "10.0.0.5"), (5057, "10.0.0.5"), (5060, "0.0.0.0")] {
        let errors = conflicts(&["udp:10.0.0.5:5060"], |settings| {
            settings.webrtc.port = port;
            settings.webrtc.addresses = vec![ip(addresses)];
        });
        let value = format!("webrtc.port: {port} is not usable");
        assert_one(&errors, &[&value, "sip.listen[0]", "UDP 10.0.0.5:5060"]);
    }
    for (port, addresses) in [(5056, "10.0.0.5"), (5060, "10.0.0.6"), (5060, "::")] {
        let errors = conflicts(&["udp:10.0.0.5:5060"], |settings| {
            settings.webrtc.port = port;
            settings.webrtc.addresses = vec![ip(addresses)];
        });
        assert_eq!(errors, Vec::<String>::new(), "{port} at {addresses}");
    }
}

#[test]
fn worker_ports_at_addresses_of_the_machine_are_refused() {
    let errors = conflicts(&["udp:127.0.0.1:40000"], |settings| {
        settings.webrtc.port = 40_000
    });
    assert_one(&errors, &["webrtc.port: 40000", "sip.listen[0]"]);
}

#[test]
fn rtp_range_with_another_socket_in_it_is_refused() {
    let errors = conflicts(&["udp:10.0.0.5:20050"], |settings| {
        settings.media.rtp_ports = "20001-20100".to_owned();
        settings.webrtc.port = 20_098;
    });
    let words = [
        "media.rtp_ports: \"20001-20100\"",
        "sip.listen[0]",
        "and webrtc.port = 20098",
    ];
    assert_one(&errors, &words);
    let trunk = conflicts(&["udp:10.0.0.9:20050"], |settings| {
        settings.media.rtp_ports = "20000-20099".to_owned();
        settings.trunk = vec![Trunk::new("vpn", "sip:10.8.0.1")];
        settings.trunk[0].rtp.address = vec![ip("10.0.0.9")];
    });
    assert_one(&trunk, &["media.rtp_ports", "10.0.0.9:20050"]);
    // The range is the default: the port is what was written.
    let port = conflicts(&["udp:10.0.0.5:5060"], |settings| {
        settings.webrtc.port = 25_000
    });
    assert_one(
        &port,
        &["webrtc.port: 25000", "media.rtp_ports = \"20000-29999\""],
    );
}

#[test]
fn rtp_range_beside_other_sockets_is_taken() {
    for listen in [
        // Not of a whole pair.
        "udp:10.0.0.5:20001",
        "udp:10.0.0.5:20100",
        "udp:10.0.0.6:20050",
        "tcp:10.0.0.5:20050",
        "udp:[2001:db8::1]:20050",
    ] {
        let errors = conflicts(&[listen], |settings| {
            settings.media.rtp_ports = "20001-20100".to_owned();
        });
        assert_eq!(errors, Vec::<String>::new(), "{listen}");
    }
}

#[test]
fn browser_addresses_that_cover_each_other_are_refused() {
    for (first, second) in [
        ("10.0.0.5", "10.0.0.5"),
        ("0.0.0.0", "10.0.0.5"),
        ("::1", "::"),
    ] {
        let errors = conflicts(&["udp:10.0.0.5:5060"], |settings| {
            settings.webrtc.addresses = vec![ip(first), ip(second)];
        });
        assert_one(&errors, &["webrtc.addresses[1]", second, first]);
    }
}

#[test]
fn configurations_of_the_repository_have_no_conflict() {
    for file in ["config/trunkline.toml", "config/docker/trunkline.toml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let settings = Settings::load(Some(&path)).expect("it is usable");
        let plan = Plan::new(&settings).expect("it is usable");
        assert_eq!(find(&settings, &plan, &[ip("127.0.0.1")], 16), [], "{file}");
    }
}
