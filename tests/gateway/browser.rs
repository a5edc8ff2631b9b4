//! The WebRTC side of a page: the independent crate `webrtc`, with a tone source and a recorder.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use super::sound::{Coding, PATIENCE, Recorder, ToneRequest, ToneSource};

const SSRC: u32 = 0x0c11_e771;

/// Payload types of telephone events at 48 and 8 kHz.
const EVENTS_48: u8 = 110;
const EVENTS_8: u8 = 126;

struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    recorder: Recorder,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, remote: Arc<dyn TrackRemote>) {
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            while let Some(event) = remote.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let header = &packet.header;
                    recorder.take(header.payload_type, header.timestamp, &packet.payload);
                }
            }
        });
    }
}

/// A peer connection that speaks from its beginning to its end.
pub struct Browser {
    connection: Arc<dyn PeerConnection>,
    gathered: watch::Receiver<bool>,
    state: watch::Receiver<RTCPeerConnectionState>,
    pub recorder: Recorder,
    wish: Arc<Mutex<ToneRequest>>,
    speaking: tokio::task::JoinHandle<()>,
}

fn codec(name: &str, clock_rate: u32, channels: u16, fmtp: &str) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: format!("audio/{name}"),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: vec![],
    }
}

fn codecs(coding: Coding) -> Vec<RTCRtpCodecParameters> {
    let (rtp_codec, events) = match coding {
        Coding::Opus => (
            codec("opus", 48_000, 2, "minptime=10;useinbandfec=1"),
            Some((EVENTS_48, 48_000)),
        ),
        Coding::Pcmu => (codec("PCMU", 8_000, 0, ""), None),
        Coding::Pcma => (codec("PCMA", 8_000, 0, ""), None),
    };
    let first = RTCRtpCodecParameters {
        rtp_codec,
        payload_type: coding.payload_type(),
    };
    let events = events.into_iter().chain([(EVENTS_8, 8_000)]);
    std::iter::once(first)
        .chain(events.map(|(payload_type, rate)| RTCRtpCodecParameters {
            rtp_codec: codec("telephone-event", rate, 0, "0-15"),
            payload_type,
        }))
        .collect()
}

impl Browser {
    /// A browser that knows this one coding.
    pub async fn new(coding: Coding) -> Self {
        let codecs = codecs(coding);
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(SSRC),
                ..Default::default()
            },
            codec: codecs[0].rtp_codec.clone(),
            ..Default::default()
        };
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "stream".to_owned(),
            "audio".to_owned(),
            "audio".to_owned(),
            RtpCodecKind::Audio,
            vec![encoding],
        )));
        let mut media_engine = MediaEngine::default();
        for codec in &codecs {
            media_engine
                .register_codec(codec.clone(), RtpCodecKind::Audio)
                .expect("a codec");
        }
        let (gathered_sender, gathered) = watch::channel(false);
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let recorder = Recorder::new(vec![EVENTS_48, EVENTS_8]);
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            // Checks as often as a browser's.
            .with_ice_timeouts(None, None, Some(Duration::from_millis(250)))
            .build();
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media_engine)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Handler {
                gathered: gathered_sender,
                state: state_sender,
                recorder: recorder.clone(),
            }))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await
            .expect("a peer connection");
        connection
            .add_track(track.clone() as Arc<dyn TrackLocal>)
            .await
            .expect("a track");
        // The track alone would leave the telephone events out.
        for transceiver in connection.get_transceivers().await {
            let preferred = transceiver.set_codec_preferences(codecs.clone()).await;
            preferred.expect("they are registered");
        }
        let events = match coding {
            Coding::Opus => EVENTS_48,
            Coding::Pcmu | Coding::Pcma => EVENTS_8,
        };
        let (voice, wish) = ToneSource::new(coding, events);
        let speaking = tokio::spawn(speak(voice, track, state.clone()));
        Browser {
            connection: Arc::new(connection),
            gathered,
            state,
            recorder,
            wish,
            speaking,
        }
    }

    /// An offer with all candidates in it.
    pub async fn offer(&mut self) -> String {
        let offer = self.connection.create_offer(None).await.expect("an offer");
        self.describe_locally(offer).await
    }

    /// The answer to the gateway's offer.
    pub async fn answer(&mut self, offer: &str) -> String {
        let offer = RTCSessionDescription::offer(offer.to_owned()).expect("a readable offer");
        let taken = self.connection.set_remote_description(offer).await;
        taken.expect("a usable offer");
        let answer = self.connection.create_answer(None).await;
        self.describe_locally(answer.expect("an answer")).await
    }

    async fn describe_locally(&mut self, description: RTCSessionDescription) -> String {
        let taken = self.connection.set_local_description(description).await;
        taken.expect("its own description");
        let gathered = self.gathered.wait_for(|done| *done);
        tokio::time::timeout(PATIENCE, gathered)
            .await
            .expect("candidates are gathered")
            .expect("the connection lives");
        let description = self.connection.local_description().await;
        description.expect("it was just set").sdp
    }

    /// Takes the gateway's answer.
    pub async fn take_answer(&self, answer: &str) {
        let answer = RTCSessionDescription::answer(answer.to_owned()).expect("readable");
        let taken = self.connection.set_remote_description(answer).await;
        taken.expect("a usable answer");
    }

    /// Waits until ICE and DTLS are through.
    pub async fn connected(&mut self) {
        let connected = self
            .state
            .wait_for(|state| *state == RTCPeerConnectionState::Connected);
        tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("ICE and DTLS work")
            .expect("the connection lives");
    }

    /// Says this tone from now on; 0 is silence.
    pub fn send_tone(&self, frequency: f64) {
        self.wish.lock().expect("whole").frequency = frequency;
    }

    /// Presses keys, as telephone events in the audio.
    pub fn press(&self, keys: &str) {
        self.wish.lock().expect("whole").keys.extend(keys.chars());
    }

    /// Whether it sends at all.
    pub fn set_speaking(&self, speaks: bool) {
        self.wish.lock().expect("whole").speaks = speaks;
    }

    /// Goes away.
    pub async fn close(self) {
        self.speaking.abort();
        let _ = self.connection.close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.speaking.abort();
    }
}

async fn speak(
    mut voice: ToneSource,
    track: Arc<TrackLocalStaticRTP>,
    mut state: watch::Receiver<RTCPeerConnectionState>,
) {
    let connected = state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
    if connected.await.is_err() {
        return;
    }
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        for spoken in voice.next() {
            let packet = rtc::rtp::Packet {
                header: rtc::rtp::Header {
                    version: 2,
                    marker: spoken.marker,
                    payload_type: spoken.payload_type,
                    sequence_number: spoken.sequence,
                    timestamp: spoken.timestamp,
                    ssrc: SSRC,
                    ..Default::default()
                },
                payload: spoken.payload.into(),
            };
            let _ = track.write_rtp(packet).await;
        }
    }
}
