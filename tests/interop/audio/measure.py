#!/usr/bin/env python3
"""Makes the speech that the tests play, and measures what the far end recorded.

measure.py speech SOUNDS FOLDER   makes FOLDER/{reference,microphone}.wav and reference.ulaw
measure.py pesq REFERENCE HEARD   narrowband PESQ of HEARD, a pass of the reference at a time
measure.py tone HEARD [SECONDS]   frequency, level and purity of the last seconds of HEARD

Each prints one JSON object. Levels are dBFS of the RMS (a full-scale square wave is 0); G.711's
0 dBm0 is about -6.2 dBFS there.
"""

import json
import sys
from math import gcd
from pathlib import Path

import numpy
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

NARROWBAND = 8000
FULLBAND = 48000
# Real recordings, because they score more truly than a synthesiser's output.
SENTENCES = ["demo-abouttotry", "vm-msginstruct", "demo-moreinfo"]
SPEECH_SECONDS = 9.0
SPEECH_LEVEL = -26.0
# PESQ punishes what G.711 does to digital silence; a room's own noise hides it.
FLOOR_LEVEL = -58.0
SEED = 2026
# What is not judged at the beginning of a recording, in samples: the media is being connected.
SETTLING = NARROWBAND // 2


def read(path):
    """Mono samples in -1..1 at 8 kHz."""
    rate, samples = wavfile.read(path)
    if samples.dtype != numpy.int16:
        raise SystemExit(f"{path}: expected 16-bit linear samples, found {samples.dtype}")
    if samples.ndim > 1:
        samples = samples[:, 0]
    samples = samples.astype(numpy.float64) / 32768.0
    if rate != NARROWBAND:
        common = gcd(rate, NARROWBAND)
        samples = resample_poly(samples, NARROWBAND // common, rate // common)
    return samples


def write(path, rate, samples):
    wavfile.write(path, rate, numpy.round(numpy.clip(samples, -1, 1) * 32767).astype(numpy.int16))


def level(samples):
    return float(20 * numpy.log10(max(numpy.sqrt(numpy.mean(samples**2)), 1e-9)))


def pink(count):
    """Pink noise from 50 Hz up, RMS 1, the same each time."""
    spectrum = numpy.fft.rfft(numpy.random.default_rng(SEED).standard_normal(count))
    frequency = numpy.fft.rfftfreq(count, 1 / NARROWBAND)
    spectrum[frequency < 50] = 0
    spectrum[frequency >= 50] /= numpy.sqrt(frequency[frequency >= 50])
    noise = numpy.fft.irfft(spectrum, count)
    return noise / numpy.sqrt(numpy.mean(noise**2))


def ulaw(samples):
    """G.711 mu-law octets (ITU-T G.711, table 2)."""
    value = numpy.round(samples * 32767).astype(numpy.int32) >> 2
    sign = numpy.where(value < 0, 0x7F, 0xFF)
    magnitude = numpy.minimum(numpy.abs(value), 8158) + 33
    segment = numpy.floor(numpy.log2(magnitude)).astype(numpy.int32) - 5
    return ((sign ^ ((segment << 4) | ((magnitude >> (segment + 1)) & 0x0F))) & 0xFF).astype(numpy.uint8)


def make_speech(sounds, folder):
    spoken = numpy.concatenate([
        numpy.concatenate([read(sounds / f"{name}.wav"), numpy.zeros(NARROWBAND // 4)])
        for name in SENTENCES
    ])[: int(SPEECH_SECONDS * NARROWBAND)]
    frames = spoken[: len(spoken) // 160 * 160].reshape(-1, 160)
    power = numpy.mean(frames**2, axis=1)
    active = power > numpy.max(power) * 10 ** (-35 / 10)
    spoken *= 10 ** (SPEECH_LEVEL / 20) / numpy.sqrt(numpy.mean(power[active]))
    # A browser plays its file in a loop: half a second of room at the end parts the passes.
    spoken = numpy.concatenate([spoken, numpy.zeros(NARROWBAND // 2)])
    spoken += pink(len(spoken)) * 10 ** (FLOOR_LEVEL / 20)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "reference.wav", NARROWBAND, spoken)
    # The loop is seamless: resampled as a piece of an endless repetition.
    looped = resample_poly(numpy.tile(spoken, 3), FULLBAND // NARROWBAND, 1)
    length = len(spoken) * (FULLBAND // NARROWBAND)
    write(folder / "microphone.wav", FULLBAND, looped[length : 2 * length])
    (folder / "reference.ulaw").write_bytes(ulaw(spoken).tobytes())
    return {"seconds": len(spoken) / NARROWBAND, "level_dbfs": level(spoken)}


def phase(reference, part):
    """At which sample of the endlessly repeated reference the part begins; None: it is no part of it."""
    looped = numpy.tile(reference, 2)[:-1]
    likeness = correlate(looped, part, mode="valid", method="fft")
    best = int(numpy.argmax(likeness))
    strength = likeness[best] / (numpy.sqrt(numpy.sum(part**2) * numpy.sum(reference**2)) + 1e-9)
    return best if strength >= 0.3 else None


def measure_pesq(reference_path, heard_path):
    reference, heard = read(reference_path), read(heard_path)
    result = {"seconds": len(heard) / NARROWBAND, "level_dbfs": level(heard) if len(heard) else None}
    if len(heard) < SETTLING + len(reference):
        return result | {"passes": [], "mos": None, "error": "the recording is shorter than a pass of the reference"}
    scores = []
    # The player loops: a recording may begin anywhere in the reference.
    for start in range(SETTLING, len(heard) - len(reference) + 1, len(reference)):
        part = heard[start : start + len(reference)]
        shift = phase(reference, part)
        if shift is None:
            continue
        scores.append({
            "at": start / NARROWBAND,
            "mos": round(float(pesq(NARROWBAND, numpy.roll(reference, -shift), part, "nb")), 3),
            "gain_db": round(level(part) - level(reference), 2),
        })
    mos = float(numpy.mean([one["mos"] for one in scores])) if scores else None
    return result | {"passes": scores, "mos": mos}


def measure_tone(heard_path, seconds):
    heard = read(heard_path)[-int(seconds * NARROWBAND) :]
    if len(heard) < NARROWBAND // 10:
        return {"frequency": None, "level_dbfs": None, "purity": None}
    spectrum = numpy.abs(numpy.fft.rfft(heard * numpy.hanning(len(heard))))
    spectrum[:2] = 0
    peak = int(numpy.argmax(spectrum))
    around = numpy.log(numpy.maximum(spectrum[peak - 1 : peak + 2], 1e-12))
    shift = 0.5 * (around[0] - around[2]) / (around[0] - 2 * around[1] + around[2])
    near = spectrum[max(0, peak - 4) : peak + 5]
    return {
        "frequency": round((peak + shift) * NARROWBAND / len(heard), 2),
        "level_dbfs": round(level(heard), 2),
        # Share of the power that is the tone itself: 1 is a clean tone.
        "purity": round(float(numpy.sum(near**2) / numpy.sum(spectrum**2)), 4),
    }


def main(arguments):
    what, *rest = arguments
    if what == "speech":
        result = make_speech(Path(rest[0]), Path(rest[1]))
    elif what == "pesq":
        result = measure_pesq(rest[0], rest[1])
    elif what == "tone":
        result = measure_tone(rest[0], float(rest[1]) if len(rest) > 1 else 2.0)
    else:
        raise SystemExit(__doc__)
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
