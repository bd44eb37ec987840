// Runs the network beside the page, so that the page stays awake. The build puts ONNX Runtime Web, fourier.js,
// measuring.js and superresolution.js before it.
let network = null;

async function start(message) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = message.wasm;
  ort.env.wasm.wasmPaths = { mjs: message.glue };
  const session = await ort.InferenceSession.create(message.model, { executionProviders: ["wasm"] });
  network = async function (batch, h, w) {
    const entry = new ort.Tensor("float32", batch, [1, h, w, batch.length / (h * w)]);
    const made = await session.run({ [session.inputNames[0]]: entry });
    return made[session.outputNames[0]].data;
  };
}

self.onmessage = async function (event) {
  const message = event.data;
  try {
    if (message.wasm) {
      await start(message);
      self.postMessage({ ready: true });
      return;
    }
    const progress = (part) => self.postMessage({ progress: part });
    const began = performance.now();
    const made = await superResolve(network, message.slice, message.h, message.w, message.usage, progress);
    self.postMessage({ made, seconds: (performance.now() - began) / 1000 });
  } catch (error) {
    self.postMessage({ error: String(error && error.message ? error.message : error) });
  }
};
