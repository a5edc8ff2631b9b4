//! Digest answers against the vectors of RFC 2617, RFC 7616 and RFC 8760's algorithms.

use sha2::{Digest, Sha256};

use crate::redacted::Redacted;
use crate::sip::Credentials;
use crate::sip::stack::digest::{
    Authorizer, Challenge, Hash, Proof, Protection, Subject, Unanswerable, challenges,
};
use crate::sip::stack::message::{Headers, Name, Request};
use crate::sip::stack::method::Method;

fn mufasa(password: &str) -> Credentials {
    Credentials {
        username: "Mufasa".to_owned(),
        password: Redacted::new(password.to_owned()),
    }
}

const GET: Subject<'static> = Subject {
    method: "GET",
    uri: "/dir/index.html",
    body: b"",
};

fn rfc_7616(hash: Hash) -> Challenge {
    Challenge {
        realm: "http-auth@example.org".to_owned(),
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
        opaque: Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS".to_owned()),
        hash,
        session: false,
        aka: false,
        named: true,
        protection: Protection::Auth,
        stale: false,
    }
}

const NONCE_7616: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

#[test]
fn rfc_2617_section_3_5() {
    let challenge = Challenge {
        realm: "testrealm@host.com".to_owned(),
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093".to_owned(),
        opaque: Some("5ccc069c403ebaf9f0171e9517f40e41".to_owned()),
        named: false,
        ..rfc_7616(Hash::Md5)
    };
    let answer = challenge.answer(Proof::from(&mufasa("Circle Of Life")), GET, 1, "0a4f113b");
    assert_eq!(
        answer,
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", \
         response=\"6629fae49393a05397450978507c4ef1\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", qop=auth, nc=00000001, \
         cnonce=\"0a4f113b\""
    );
}

#[test]
fn rfc_7616_section_3_9_1() {
    let path = Subject {
        uri: "/dir/index.html",
        ..GET
    };
    for (hash, response) in [
        (Hash::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Hash::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let answer =
            rfc_7616(hash).answer(Proof::from(&mufasa("Circle of Life")), path, 1, NONCE_7616);
        assert!(
            answer.contains(&format!("response=\"{response}\"")),
            "{answer}"
        );
    }
}

#[test]
fn count_is_hexadecimal_beyond_0xff_and_body_counts_in_auth_int() {
    let challenge = Challenge {
        protection: Protection::AuthInt,
        ..rfc_7616(Hash::Sha256)
    };
    let answer = |body| {
        challenge.answer(
            Proof::from(&mufasa("x")),
            Subject { body, ..GET },
            0x1ff,
            "c",
        )
    };
    assert!(answer(b"a").contains("nc=000001ff"));
    assert_ne!(answer(b"a"), answer(b"b"));
}

/// RFC 7616 sections 3.4.1 to 3.4.3, computed here once more.
#[test]
fn the_session_form_hashes_both_nonces_and_auth_int_the_body() {
    fn sha256(text: &str) -> String {
        let digest = Sha256::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
    let nonce = rfc_7616(Hash::Sha256).nonce;
    let secret = sha256("Mufasa:http-auth@example.org:x");
    let body = sha256("a=b");
    for (session, protection, qop, a1, a2) in [
        (
            true,
            Protection::Auth,
            "auth",
            sha256(&format!("{secret}:{nonce}:c")),
            String::new(),
        ),
        (
            false,
            Protection::AuthInt,
            "auth-int",
            secret.clone(),
            format!(":{body}"),
        ),
        (
            true,
            Protection::AuthInt,
            "auth-int",
            sha256(&format!("{secret}:{nonce}:c")),
            format!(":{body}"),
        ),
    ] {
        let challenge = Challenge {
            session,
            protection,
            ..rfc_7616(Hash::Sha256)
        };
        let a2 = sha256(&format!("GET:/dir/index.html{a2}"));
        let response = sha256(&format!("{a1}:{nonce}:00000001:c:{qop}:{a2}"));
        let subject = Subject {
            body: b"a=b",
            ..GET
        };
        let answer = challenge.answer(Proof::from(&mufasa("x")), subject, 1, "c");
        assert!(
            answer.contains(&format!("response=\"{response}\"")),
            "{answer}"
        );
        let algorithm = if session {
            "algorithm=SHA-256-sess"
        } else {
            "algorithm=SHA-256"
        };
        assert!(answer.contains(&format!("{algorithm},")), "{answer}");
    }
}

fn offered(line: &str) -> Vec<Challenge> {
    let mut headers = Headers::new();
    headers.insert(Name::WWW_AUTHENTICATE, line.to_owned());
    challenges(&headers, &Name::WWW_AUTHENTICATE)
}

#[test]
fn several_challenges_in_one_line_are_told_apart() {
    let found = offered(
        "Digest realm=\"a, b\", nonce=\"1\", algorithm=MD5, qop=\"auth-int, auth\", \
         digest realm=\"a, b\",nonce=\"2\",algorithm=SHA-256-sess,qop=\"auth\",stale=TRUE, \
         Basic realm=\"c\", Digest realm=\"d\", nonce=\"3\", algorithm=SHA-512-256",
    );
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].realm.as_str(), found[0].hash),
        ("a, b", Hash::Md5)
    );
    assert_eq!(found[0].protection, Protection::Auth);
    assert!(found[1].session && found[1].stale);
}

fn challenged(lines: &[(Name, &str)]) -> crate::sip::stack::message::Response {
    let mut response = Request::new(Method::Invite, "sip:x").respond(401, None, None);
    for (name, line) in lines {
        response.headers.insert(name.clone(), (*line).to_owned());
    }
    response
}

#[test]
fn the_strongest_of_a_realm_is_answered_and_proxy_beside_server() {
    let mut authorizer = Authorizer::new(mufasa("x"));
    let response = challenged(&[
        (
            Name::WWW_AUTHENTICATE,
            "Digest realm=\"r\", nonce=\"1\", algorithm=MD5",
        ),
        (
            Name::WWW_AUTHENTICATE,
            "Digest realm=\"r\", nonce=\"2\", algorithm=SHA-256",
        ),
        (Name::PROXY_AUTHENTICATE, "Digest realm=\"p\", nonce=\"3\""),
    ]);
    assert_eq!(authorizer.accept(&response, &Headers::new(), None), Ok(()));
    let headers = authorizer.headers(GET, "c");
    assert_eq!(headers.len(), 2);
    assert_eq!(headers[0].0, Name::AUTHORIZATION);
    assert!(headers[0].1.contains("algorithm=SHA-256"));
    assert_eq!(headers[1].0, Name::PROXY_AUTHORIZATION);
}

#[test]
fn a_refused_password_is_not_repeated_but_a_stale_nonce_is_renewed() {
    let mut authorizer = Authorizer::new(mufasa("x"));
    let first = challenged(&[(Name::WWW_AUTHENTICATE, "Digest realm=\"r\", nonce=\"1\"")]);
    assert_eq!(authorizer.accept(&first, &Headers::new(), None), Ok(()));
    let mut answered = Headers::new();
    for (name, value) in authorizer.headers(GET, "c") {
        answered.insert(name, value);
    }
    let stale = challenged(&[(
        Name::WWW_AUTHENTICATE,
        "Digest realm=\"r\", nonce=\"2\", stale=true",
    )]);
    assert_eq!(authorizer.clone().accept(&stale, &answered, None), Ok(()));
    let again = challenged(&[(Name::WWW_AUTHENTICATE, "Digest realm=\"r\", nonce=\"2\"")]);
    assert_eq!(
        authorizer.accept(&again, &answered, None),
        Err(Unanswerable::Refused)
    );
}
