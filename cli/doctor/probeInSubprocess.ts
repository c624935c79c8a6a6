/** Examines a device in a process of its own: a driver may write what it likes to the terminal, and may end the process. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { probeDevice, type DeviceReport } from '../../accelerated/engines/deviceProbe.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'

/** The program as it is built, also where this file runs as source. */
const program = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../dist/cli/doctor/probeProcess.js' : './probeProcess.js', import.meta.url),
)

/** Never rejects. @param command the program of the process */
export const probeInSubprocess = (name: string, command: string = program): Promise<Examined> =>
  new Promise((resolve) => {
    const child = fork(command, [name], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let [written, examined, failed] = ['', null as Examined | null, null as string | null]
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      written = (written + text).slice(-100_000)
    })
    child.on('message', (message) => {
      examined = message as Examined
    })
    child.on('error', ({ message }) => {
      failed = message
    })
    child.on('close', (code, signal) => {
      const reason = missingLibrary(written)
      if (examined !== null) return resolve(reason === null ? examined : withReason(examined, reason))
      const detail = `${failed ?? `its process ended by ${signal ?? `exit code ${code}`}`}${reason === null ? '' : `: ${reason}`}`
      void findDevice(name)
        .remedy()
        .then((remedy) => resolve({ report: { device: name, works: false, detail, remedy }, speedups: [] }))
    })
  })

/** The library that a provider lacks: ONNX Runtime writes its name, and throws an error without it. */
export const missingLibrary = (written: string): string | null => /with error: ([^\n]{1,300})/.exec(written)?.[1]?.trim() ?? null

const withReason = ({ report, speedups }: Examined, reason: string): Examined => ({
  report: report.works ? report : { ...report, detail: `${report.detail} (${reason})` },
  speedups,
})

/** What a device can do here: whether it takes a training step, and the speed of each precision that it has arithmetic for. */
export type Speedup = { readonly precision: string; readonly device: string; readonly speedup: number }

/** speedups: over float32, of products */
export type Examined = { readonly report: DeviceReport; readonly speedups: readonly Speedup[] }

export const examineDevice = async (name: string): Promise<Examined> => {
  const report = await probeDevice(name)
  if (!report.works) return { report, speedups: [] }
  const device = findDevice(name)
  const speedups: Speedup[] = []
  for (const precision of precisions) {
    if (precision.speedup === undefined) continue
    const isSupported = await checkDevice(precision, device).then(
      () => true,
      () => false,
    )
    if (isSupported) speedups.push({ precision: precision.name, device: name, speedup: await precision.speedup(device) })
  }
  return { report, speedups }
}
