//! A PBX whose RTP leaves from an address that neither its SDP nor its SIP names.

use std::time::Duration;

use tokio::net::UdpSocket;

use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

const HEARD: &str = "trunkline_unexpected_sources_heard_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_is_heard_until_the_named_one_sends() {
    let mut setup = Setup::start().await;
    let before = setup.counter(HEARD, &[]).await;
    let talk = setup.call_out_in_silence(Coding::Opus).await;
    let gateway = talk.leg.gateway_rtp();
    let interface = Telephone::at("127.0.0.2", Coding::Pcmu).await;
    interface.send_tone(1_004.0);
    interface.speak_to(gateway);
    // It hears, and says nothing yet.
    talk.telephone.set_speaking(false);
    talk.telephone.speak_to(gateway);
    talk.browser.send_tone(440.0);
    talk.browser.recorder.hears(1_004.0).await;
    talk.telephone.recorder.hears(440.0).await;
    setup.counted(HEARD, &[], before, 1.0).await;
    // The page's audio goes where the SDP says, and nowhere else.
    assert!(interface.recorder.samples().is_empty());
    // Both send now: the named one is heard alone.
    talk.telephone.send_tone(2_000.0);
    talk.telephone.set_speaking(true);
    talk.browser.recorder.hears(2_000.0).await;
    talk.browser.recorder.listen();
    talk.browser.recorder.heard_only(2_000.0).await;
    assert!(interface.recorder.samples().is_empty());
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_is_not_heard_where_the_trunk_forbids_it() {
    let mut setup = Setup::with(|settings| {
        settings.trunk[0].rtp.sources = trunkline::settings::RtpSources::Peer
    })
    .await;
    let talk = setup.call_out_in_silence(Coding::Opus).await;
    let interface = Telephone::at("127.0.0.2", Coding::Pcmu).await;
    interface.send_tone(1_004.0);
    interface.speak_to(talk.leg.gateway_rtp());
    let dropped = [("side", "pbx"), ("reason", "unexpected_source")];
    let before = setup
        .counter("trunkline_media_dropped_total", &dropped)
        .await;
    // Two seconds of it.
    setup
        .counted("trunkline_media_dropped_total", &dropped, before, 100.0)
        .await;
    assert!(talk.browser.recorder.samples().is_empty());
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_with_another_payload_type_is_not_heard() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out_in_silence(Coding::Opus).await;
    let gateway = talk.leg.gateway_rtp();
    let source = UdpSocket::bind("127.0.0.3:0").await.expect("a socket");
    for number in 0..150_u16 {
        let mut packet = vec![0x80, 18];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
        packet.extend_from_slice(&[1, 2, 3, 4]);
        packet.extend_from_slice(&[0x55; 20]);
        source.send_to(&packet, gateway).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(talk.browser.recorder.samples().is_empty());
    let mut buffer = [0; 2_048];
    assert!(source.try_recv(&mut buffer).is_err());
    talk.end().await;
}
