//! How packets are marked for routers (RFC 2474), as who receives them sees it.

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::SockRef;

use crate::browser::Browser;
use crate::setup::Setup;
use crate::sound::Coding;

/// A socket that learns how what it receives is marked.
struct Receiver(UdpSocket);

impl Receiver {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).expect("an address of this machine");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("an option");
        let options = SockRef::from(&socket);
        if address.starts_with('[') {
            options.set_recv_tclass_v6(true).expect("an option");
        } else {
            options.set_recv_tos_v4(true).expect("an option");
        }
        Receiver(socket)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The code point of the next datagram that is wanted.
    async fn next(&self, wanted: fn(&[u8]) -> bool) -> u8 {
        let socket = self.0.try_clone().expect("a handle");
        tokio::task::spawn_blocking(move || receive(&socket, wanted))
            .await
            .expect("no panic")
    }
}

fn receive(socket: &UdpSocket, wanted: fn(&[u8]) -> bool) -> u8 {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < deadline, "nothing that is wanted came");
        let mut bytes = [0; 2_048];
        let mut space = cmsg_space!(i32, i32);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::empty();
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)
                .expect("a datagram in time");
        let length = message.bytes;
        let octet = message
            .cmsgs()
            .expect("all of them")
            .find_map(|control| match control {
                ControlMessageOwned::Ipv4Tos(octet) => Some(octet),
                ControlMessageOwned::Ipv6TClass(octet) => u8::try_from(octet).ok(),
                _ => None,
            })
            .expect("the mark was asked for");
        if wanted(&bytes[..length]) {
            return octet >> 2;
        }
    }
}

fn is_rtp(datagram: &[u8]) -> bool {
    datagram.len() > 12 && datagram[0] == 0x80 && datagram[1] & 0x7f == 0
}

fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() > 8 && datagram[0] >> 6 == 2 && (200..=204).contains(&datagram[1])
}

fn is_check(datagram: &[u8]) -> bool {
    datagram.starts_with(&[0, 1])
}

fn is_invite(datagram: &[u8]) -> bool {
    datagram.starts_with(b"INVITE ")
}

/// What arrives at a PBX and at a browser's candidate while a call has the settings.
async fn audio_marks(dscp: Option<u8>) -> [u8; 3] {
    let mut setup = Setup::with(|settings| {
        if let Some(dscp) = dscp {
            settings.media.dscp = dscp;
        }
    })
    .await;
    let (rtp, rtcp) = loop {
        let rtp = Receiver::at("127.0.0.1:0");
        let above = format!("127.0.0.1:{}", rtp.port().wrapping_add(1));
        if UdpSocket::bind(&above).is_ok() {
            break (rtp, Receiver::at(&above));
        }
    };
    let candidate = Receiver::at("127.0.0.1:0");
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let port = candidate.port();
    let offer = format!(
        "{}a=candidate:99 1 udp 2130706431 127.0.0.1 {port} typ host\r\n",
        browser.offer().await
    );
    page.call("c1", "600", &offer).await;
    let check = candidate.next(is_check).await;
    let mut leg = setup.pbx.called().await;
    leg.answer(format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0\r\n",
        rtp.port()
    ))
    .await;
    leg.confirmed().await;
    let answer = page.hear("answer").await;
    browser
        .take_answer(answer["sdp"].as_str().expect("SDP"))
        .await;
    browser.connected().await;
    browser.send_tone(440.0);
    let marks = [check, rtp.next(is_rtp).await, rtcp.next(is_rtcp).await];
    page.hang_up("c1").await;
    marks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dscp_of_audio_is_expedited_forwarding() {
    assert_eq!(audio_marks(None).await, [46; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dscp_of_audio_is_as_configured() {
    assert_eq!(audio_marks(Some(34)).await, [34; 3]);
    assert_eq!(audio_marks(Some(0)).await, [0; 3], "zero leaves it alone");
}

/// How an INVITE to a PBX at this address is marked.
async fn invite_mark(address: &str, dscp: Option<u8>) -> u8 {
    let pbx = Receiver::at(&format!("{address}:0"));
    let free = UdpSocket::bind(format!("{address}:0")).expect("an address of this machine");
    let listen = format!("udp:{}", free.local_addr().expect("bound"));
    drop(free);
    let setup = Setup::with(|settings| {
        settings.sip.listen = vec![listen];
        settings.media.rtp_address = vec!["127.0.0.1".parse().expect("an address")];
        settings.trunk[0].addressing.target = format!("sip:{address}:{}", pbx.port());
        if let Some(dscp) = dscp {
            settings.sip.dscp = dscp;
        }
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    pbx.next(is_invite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dscp_of_sip_is_class_selector_3_in_both_families() {
    assert_eq!(invite_mark("127.0.0.1", None).await, 24);
    assert_eq!(invite_mark("[::1]", None).await, 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dscp_of_sip_is_as_configured() {
    assert_eq!(invite_mark("127.0.0.1", Some(40)).await, 40);
    assert_eq!(invite_mark("[::1]", Some(40)).await, 40);
}
