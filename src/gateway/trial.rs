//! Tries what a start would try, and leaves nothing behind: files are read, addresses are bound
//! for a moment. All errors are told, each with the key that it comes from.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::plan::Plan;
use super::{machine_addresses, port_conflicts, warnings, worker_count};
use crate::settings::{Collector, Error, Errors, Settings};
use crate::{peer, sip, telemetry};

/// A configuration that a start could use.
#[derive(Debug)]
pub struct Checked {
    /// What is in force.
    pub settings: Settings,
    /// What an operator should know of it, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads the configuration and the files that it names.
pub fn load(file: Option<&Path>) -> Result<Settings, Errors> {
    Settings::load_and_try(file, &usable)
}

/// The same, and whether its addresses and ports are this machine's.
pub fn check(file: Option<&Path>) -> Result<Checked, Errors> {
    let settings = Settings::load_and_try(file, &|settings| {
        let mut found = Collector::default();
        addresses(settings, &mut found);
        let mut errors = usable(settings);
        errors.extend(found.into_errors());
        errors
    })?;
    let mut warnings = warnings::of_check(&settings);
    warnings.extend(in_use(&settings));
    Ok(Checked { settings, warnings })
}

/// What follows from the values and from the files that they name.
fn usable(settings: &Settings) -> Vec<Error> {
    let mut found = Collector::default();
    if let Some(plan) = found.keep_all(Plan::new(settings)) {
        let (machine, workers) = (machine_addresses(), worker_count(settings));
        for conflict in port_conflicts::find(settings, &plan, &machine, workers) {
            found.push(conflict);
        }
    }
    if let Err(error) = telemetry::check_filter(&settings.log) {
        let expected = format!("directives as info,trunkline::sip=debug ({error})");
        found.push(Error::value("log.filter", &settings.log.filter, expected));
    }
    dtls_files(settings, &mut found);
    let secure = |listen: &String| listen.to_ascii_lowercase().starts_with("tls:");
    if settings.sip.listen.iter().any(secure) {
        tls_files(settings, &mut found);
    }
    found.into_errors()
}

fn dtls_files(settings: &Settings, found: &mut Collector) {
    let (Some(chain), Some(key)) = (
        &settings.webrtc.certificate,
        &settings.webrtc.certificate_key,
    ) else {
        return;
    };
    let mut read = |name: &str, path: &Path| {
        let text = std::fs::read_to_string(path);
        found.keep(text.map_err(|error| {
            let expected = format!("a PEM file that can be read ({error})");
            Error::value(name, &path.display().to_string(), expected)
        }))
    };
    let texts = (
        read("webrtc.certificate", chain),
        read("webrtc.certificate_key", key),
    );
    if let (Some(chain_text), Some(key_text)) = texts
        && let Err(error) = peer::Certificate::from_pem(&chain_text, &key_text)
    {
        let expected = format!("a PEM certificate that fits certificate_key ({error})");
        let written = chain.display().to_string();
        found.push(Error::value("webrtc.certificate", &written, expected));
    }
}

fn tls_files(settings: &Settings, found: &mut Collector) {
    let mut try_files = |key: String, path: &Path, tls: &sip::Tls, trunk: Option<&sip::PeerTls>| {
        let tried = sip::check_certificates(tls, trunk).map_err(|error| {
            let expected = format!("PEM files that can be used ({error})");
            Error::value(key, &path.display().to_string(), expected)
        });
        found.keep(tried).is_some()
    };
    let certificate = |chain: &Option<_>, key: &Option<_>| {
        let (chain, key): (&std::path::PathBuf, &std::path::PathBuf) =
            (chain.as_ref()?, key.as_ref()?);
        Some(sip::Certificate {
            chain: chain.clone(),
            key: key.clone(),
        })
    };
    let written = &settings.sip.tls;
    if let Some(path) = &written.ca {
        let tls = sip::Tls {
            authorities: Some(path.clone()),
            ..sip::Tls::default()
        };
        try_files("sip.tls.ca".to_owned(), path, &tls, None);
    }
    let own = certificate(&written.certificate, &written.certificate_key);
    if let Some(own) = own {
        let mut tls = sip::Tls {
            certificate: Some(own.clone()),
            ..sip::Tls::default()
        };
        let key = "sip.tls.certificate".to_owned();
        if try_files(key, &own.chain, &tls, None)
            && let Some(path) = &written.client_ca
        {
            tls.client_authorities = Some(path.clone());
            try_files("sip.tls.client_ca".to_owned(), path, &tls, None);
        }
    }
    for (index, trunk) in settings.trunk.iter().enumerate() {
        let own = certificate(&trunk.tls.certificate, &trunk.tls.certificate_key);
        let Some(own) = own else {
            continue;
        };
        let path = own.chain.clone();
        let tls = sip::PeerTls {
            certificate: Some(own),
            ..sip::PeerTls::default()
        };
        let key = format!("trunk[{index}].tls.certificate");
        try_files(key, &path, &sip::Tls::default(), Some(&tls));
    }
}

/// How a socket of the configuration is bound.
#[derive(Clone, Copy)]
enum Kind {
    Datagrams,
    Connections,
}

fn bind(kind: Kind, address: SocketAddr) -> io::Result<()> {
    match kind {
        Kind::Datagrams => UdpSocket::bind(address).map(|_| ()),
        Kind::Connections => TcpListener::bind(address).map(|_| ()),
    }
}

/// The sockets whose addresses the configuration names, with their keys.
fn sockets(settings: &Settings) -> Vec<(String, Kind, SocketAddr)> {
    let http = (
        "http.listen".to_owned(),
        Kind::Connections,
        settings.http.listen,
    );
    let listeners = settings.sip.listen.iter().filter_map(|text| {
        let (transport, address) = text.split_once(':')?;
        let kind = match transport.to_ascii_lowercase().as_str() {
            "udp" => Kind::Datagrams,
            _ => Kind::Connections,
        };
        Some(("sip.listen".to_owned(), kind, address.parse().ok()?))
    });
    let webrtc = |(index, address): (usize, &IpAddr)| {
        let key = format!("webrtc.addresses[{index}]");
        let socket = SocketAddr::new(*address, settings.webrtc.port);
        (key, Kind::Datagrams, socket)
    };
    let browsers = settings.webrtc.addresses.iter().enumerate().map(webrtc);
    let rtp = settings.media.rtp_address.iter().map(|address| {
        let key = "media.rtp_address".to_owned();
        (key, Kind::Datagrams, SocketAddr::new(*address, 0))
    });
    std::iter::once(http)
        .chain(listeners)
        .chain(browsers)
        .chain(rtp)
        .collect()
}

fn addresses(settings: &Settings, found: &mut Collector) {
    for (key, kind, address) in sockets(settings) {
        let expected = match bind(kind, address).map_err(|error| error.kind()) {
            // The gateway may be running while its next configuration is checked.
            Ok(()) | Err(io::ErrorKind::AddrInUse) => continue,
            Err(io::ErrorKind::AddrNotAvailable) => {
                "an address of this machine, which has none such".to_owned()
            }
            Err(io::ErrorKind::PermissionDenied) => {
                format!("a port that this user may open, {} is not", address.port())
            }
            Err(other) => format!("an address that can be bound ({other})"),
        };
        found.push(Error::value(key, &address.to_string(), expected));
    }
    let workers = worker_count(settings);
    let port = settings.webrtc.port;
    let last = usize::from(port) + workers.saturating_sub(1);
    if port != 0 && last > usize::from(u16::MAX) {
        let expected = format!("a port with {} above it, one for each worker", workers - 1);
        found.push(Error::shown("webrtc.port", port.to_string(), expected));
    }
}

/// Addresses of the configuration that are taken now.
fn in_use(settings: &Settings) -> Vec<String> {
    let taken = |kind, address| {
        let bound = bind(kind, address).map_err(|error| error.kind());
        bound == Err(io::ErrorKind::AddrInUse)
    };
    sockets(settings)
        .into_iter()
        .filter(|(_, kind, address)| taken(*kind, *address))
        .map(|(key, _, address)| {
            format!("{key}: {address} is in use now; a start needs it to be free")
        })
        .collect()
}
