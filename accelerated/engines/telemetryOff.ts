/**
 * Switches ONNX Runtime's telemetry off. On Linux and macOS its library otherwise writes a device id and an event database below the home folder
 * and sends them to its maker. It reads the switch once, as it loads, from the environment of the process. A thread has only a copy of that
 * environment, so the main thread sets the switch when it imports this file.
 */
import { isMainThread } from 'node:worker_threads'

export const telemetrySwitch = 'ORT_DISABLE_TELEMETRY'

if (isMainThread) process.env[telemetrySwitch] = '1'
