/**
 * The strongest frequency and the level of a stream: what a test asks in order
 * to know that the right sound arrived.
 *
 * An AnalyserNode does it where an AudioContext runs. Where none can (Firefox on
 * a machine without a sound card), the stream is recorded and decoded instead.
 */

/** The largest window an AnalyserNode has: 16,384 bins, 1.5 Hz each at 48 kHz. */
const WINDOW = 32_768;
/** Mean square at -93 dB: one step of 16-bit audio. Silence has no frequency. */
const SILENCE = 5e-10;
const RECORDING_RATE = 48_000;
/** The start of a recording is the encoder's and not the stream's. */
const RECORDING_LEAD_SAMPLES = 4_800;

/**
 * `level_dbfs`: a sine at full scale reads 0 (AES17), so its RMS value is 3.01 dB lower.
 * `frequency` in Hz, null in silence. Takes at least one window (0.7 s), however few the seconds.
 * @param {AudioContext | null} context
 * @param {MediaStream} stream
 * @param {number} seconds
 * @returns {Promise<{frequency: ?number, level_dbfs: number, rms: number}>}
 */
export async function measureStream(context, stream, seconds) {
  return context?.state === "running" ? listen(context, stream, seconds) : record(stream, seconds);
}

async function listen(context, stream, seconds) {
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = WINDOW;
  analyser.smoothingTimeConstant = 0;
  source.connect(analyser);
  try {
    const windowMilliseconds = (WINDOW / context.sampleRate) * 1000;
    const samples = new Float32Array(WINDOW);
    const decibels = new Float32Array(WINDOW / 2);
    const powers = new Float64Array(WINDOW / 2);
    let sum = 0;
    let rounds = 0;
    const end = performance.now() + Math.max(seconds * 1000, windowMilliseconds + 100);
    // The first reading waits until the whole window holds sound of after the call of this function.
    await pause(windowMilliseconds + 50);
    do {
      analyser.getFloatFrequencyData(decibels);
      analyser.getFloatTimeDomainData(samples);
      decibels.forEach((value, bin) => (powers[bin] += 10 ** (value / 10)));
      sum += meanSquare(samples);
      rounds += 1;
      await pause(100);
    } while (performance.now() < end);
    return result(powers, context.sampleRate, sum / rounds);
  } finally {
    source.disconnect();
  }
}

async function record(stream, seconds) {
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((settle) => (recorder.onstop = settle));
  recorder.start();
  await pause(Math.max(seconds * 1000, ((WINDOW + 2 * RECORDING_LEAD_SAMPLES) / RECORDING_RATE) * 1000 + 200));
  recorder.stop();
  await stopped;
  const recording = await new Blob(parts).arrayBuffer();
  const decoded = await new OfflineAudioContext(1, 1, RECORDING_RATE).decodeAudioData(recording);
  const samples = decoded.getChannelData(0).subarray(RECORDING_LEAD_SAMPLES);
  const powers = new Float64Array(WINDOW / 2);
  for (let start = 0; start + WINDOW <= samples.length; start += WINDOW / 2) {
    powerSpectrum(samples.subarray(start, start + WINDOW)).forEach((power, bin) => (powers[bin] += power));
  }
  return result(powers, RECORDING_RATE, meanSquare(samples));
}

function result(powers, sampleRate, square) {
  return {
    frequency: square > SILENCE ? peakFrequency(powers, sampleRate / WINDOW) : null,
    level_dbfs: 10 * Math.log10(square * 2 || Number.MIN_VALUE),
    rms: Math.sqrt(square),
  };
}

export function meanSquare(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length > 0 ? sum / samples.length : 0;
}

/**
 * The strongest frequency in a power spectrum, between its bins: a parabola
 * through the logarithms of the highest bin and its neighbours, which for a
 * Blackman window is true to a few hundredths of a bin.
 */
export function peakFrequency(powers, binWidth) {
  let peak = 1;
  for (let bin = 2; bin < powers.length - 1; bin += 1) if (powers[bin] > powers[peak]) peak = bin;
  const [left, middle, right] = [powers[peak - 1], powers[peak], powers[peak + 1]].map((power) =>
    Math.log(power || Number.MIN_VALUE),
  );
  const curvature = left - 2 * middle + right;
  const offset = curvature === 0 ? 0 : (left - right) / (2 * curvature);
  return (peak + offset) * binWidth;
}

/** Blackman window and a radix-2 transform, as the AnalyserNode does it. The length is a power of two. */
function powerSpectrum(samples) {
  const size = samples.length;
  const real = new Float64Array(size);
  const imaginary = new Float64Array(size);
  const bits = Math.log2(size);
  for (let index = 0; index < size; index += 1) {
    const phase = (2 * Math.PI * index) / size;
    const window = 0.42 - 0.5 * Math.cos(phase) + 0.08 * Math.cos(2 * phase);
    let reversed = 0;
    for (let bit = 0; bit < bits; bit += 1) reversed |= ((index >> bit) & 1) << (bits - 1 - bit);
    real[reversed] = (samples[index] * window) / size;
  }
  for (let half = 1; half < size; half *= 2) {
    for (let offset = 0; offset < half; offset += 1) {
      const angle = (-Math.PI * offset) / half;
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let even = offset; even < size; even += 2 * half) {
        const odd = even + half;
        const turnedReal = real[odd] * cosine - imaginary[odd] * sine;
        const turnedImaginary = real[odd] * sine + imaginary[odd] * cosine;
        real[odd] = real[even] - turnedReal;
        imaginary[odd] = imaginary[even] - turnedImaginary;
        real[even] += turnedReal;
        imaginary[even] += turnedImaginary;
      }
    }
  }
  return real.subarray(0, size / 2).map((value, bin) => value * value + imaginary[bin] * imaginary[bin]);
}

function pause(milliseconds) {
  return new Promise((settle) => setTimeout(settle, milliseconds));
}
