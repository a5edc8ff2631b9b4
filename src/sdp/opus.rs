//! The `a=fmtp` of Opus (RFC 7587 section 6.1), read and written.

use crate::codec::OpusParameters;

/// The audio rate of Opus itself.
pub(super) const FULL_BAND: u32 = 48_000;

/// What our decoder wants when samples of `audio_rate` are of use to the far end of the call: what
/// is above half of it is not worth sending (RFC 7587 section 6.1).
pub(super) fn write(audio_rate: u32) -> String {
    let always = "useinbandfec=1;stereo=0;usedtx=0;minptime=10";
    // Named because without it an encoder falls to 12 kbit/s at 8 kHz.
    let bitrate = match audio_rate {
        ..=8_000 => 24_000,
        8_001..=16_000 => 32_000,
        _ => return always.to_owned(),
    };
    format!(
        "maxplaybackrate={audio_rate};sprop-maxcapturerate={audio_rate};\
         maxaveragebitrate={bitrate};{always}"
    )
}

/// Reads what the other end's decoder asks of our encoder. A value outside the RFC's range
/// counts as absent: no parameter ever costs the call its codec.
pub(super) fn read(parameters: &str) -> OpusParameters {
    let mut opus = OpusParameters::default();
    for (name, value) in parameters
        .split(';')
        .filter_map(|pair| pair.split_once('='))
    {
        let Ok(value) = value.trim().parse::<u32>() else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "maxplaybackrate" if (8_000..=48_000).contains(&value) => {
                opus.max_playback_rate = value;
            }
            "maxaveragebitrate" if (6_000..=510_000).contains(&value) => {
                opus.max_average_bitrate = Some(value);
            }
            "useinbandfec" => opus.inband_fec = value == 1,
            "usedtx" => opus.dtx = value == 1,
            "cbr" => opus.constant_bitrate = value == 1,
            _ => {}
        }
    }
    opus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_we_understand() {
        let opus = read(&write(8_000));
        assert_eq!(opus.max_playback_rate, 8_000);
        assert_eq!(opus.max_average_bitrate, Some(24_000));
        assert!(opus.inband_fec && !opus.dtx && !opus.constant_bitrate);
        assert_eq!(read(&write(FULL_BAND)).max_playback_rate, 48_000);
    }

    #[test]
    fn far_end_of_16_khz_asks_for_wideband() {
        let written = write(16_000);
        assert!(written.contains("maxplaybackrate=16000;sprop-maxcapturerate=16000;"));
        let opus = read(&written);
        assert_eq!(opus.max_playback_rate, 16_000);
        assert_eq!(opus.max_average_bitrate, Some(32_000));
    }

    #[test]
    fn values_outside_the_range_count_as_absent() {
        let opus = read("maxplaybackrate=1;maxaveragebitrate=99999999999;cbr=yes; USEDTX = 1 ;;=");
        assert_eq!(
            opus,
            OpusParameters {
                dtx: true,
                ..OpusParameters::default()
            }
        );
    }
}
