//! A PBX whose RTP leaves from an address that neither its SDP nor its SIP names.

use std::time::Duration;

use tokio::net::UdpSocket;

use crate::pbx::Telephone;
use crate::sound::Coding;
use crate::world::World;

const HEARD: &str = "trunkline_unexpected_sources_heard_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_is_heard_until_the_named_one_sends() {
    let mut world = World::start().await;
    let before = world.counter(HEARD, &[]).await;
    let talk = world.call_out_in_silence(Coding::Opus).await;
    let gateway = talk.leg.gateway_rtp();
    let interface = Telephone::at("127.0.0.2", Coding::Pcmu).await;
    interface.hum(1_004.0);
    interface.speak_to(gateway);
    // It hears, and says nothing yet.
    talk.telephone.set_speaking(false);
    talk.telephone.speak_to(gateway);
    talk.browser.hum(440.0);
    talk.browser.ear.hears(1_004.0).await;
    talk.telephone.ear.hears(440.0).await;
    world.counted(HEARD, &[], before, 1.0).await;
    // The page's audio goes where the SDP says, and nowhere else.
    assert!(interface.ear.samples().is_empty());
    // Both send now: the named one is heard alone.
    talk.telephone.hum(2_000.0);
    talk.telephone.set_speaking(true);
    talk.browser.ear.hears(2_000.0).await;
    talk.browser.ear.listen();
    talk.browser.ear.heard_only(2_000.0).await;
    assert!(interface.ear.samples().is_empty());
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_is_not_heard_where_the_trunk_forbids_it() {
    let mut world = World::with(|settings| settings.trunk[0].rtp_sources = "peer".to_owned()).await;
    let talk = world.call_out_in_silence(Coding::Opus).await;
    let interface = Telephone::at("127.0.0.2", Coding::Pcmu).await;
    interface.hum(1_004.0);
    interface.speak_to(talk.leg.gateway_rtp());
    let dropped = [("side", "pbx"), ("reason", "unexpected_source")];
    let before = world
        .counter("trunkline_media_dropped_total", &dropped)
        .await;
    // Two seconds of it.
    world
        .counted("trunkline_media_dropped_total", &dropped, before, 100.0)
        .await;
    assert!(talk.browser.ear.samples().is_empty());
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_source_with_another_payload_type_is_not_heard() {
    let mut world = World::start().await;
    let talk = world.call_out_in_silence(Coding::Opus).await;
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
    assert!(talk.browser.ear.samples().is_empty());
    let mut buffer = [0; 2_048];
    assert!(source.try_recv(&mut buffer).is_err());
    talk.end().await;
}
