//! Bytes as one SIP message: read without a panic, and what is written of it is read again as the
//! same message.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline::sip::{Envelope, Message};

fuzz_target!(|bytes: &[u8]| {
    let Ok(received) = Message::read(&Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let faultless = received.fault.is_none();
    match received.message {
        Message::Request(request) => {
            let envelope = Envelope::read(&request.headers);
            let written = request.write();
            if faultless {
                let again = Message::read(&written).expect("what we write is readable");
                let Message::Request(again) = again.message else {
                    panic!("a request became a response");
                };
                assert_eq!(request.method, again.method);
                assert_eq!(request.uri, again.uri);
                assert_eq!(request.body, again.body);
                assert_eq!(envelope.is_ok(), Envelope::read(&again.headers).is_ok());
            }
            let refusal = request.respond(400, None, Some("tag"));
            Message::read(&refusal.write()).expect("what we answer is readable");
        }
        Message::Response(response) => {
            let _ = Envelope::read(&response.headers);
            Message::read(&response.write()).expect("what we write is readable");
        }
    }
});
