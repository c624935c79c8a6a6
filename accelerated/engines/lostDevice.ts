/**
 * Calls of onnxruntime-web end in one line where the browser takes the graphics card away: its driver ended, was replaced, or had no memory left.
 * Without this, the call fails with other words, or never ends.
 */
import { DeviceError } from '../errors/expectedErrors.js'

/** Runs a call of the library, and throws what became of it. */
export type Guard = <T>(call: () => Promise<T>) => Promise<T>

/** What is read of WebGPU's GPUDevice. */
export type GpuDevice = { readonly lost: Promise<{ readonly message: string; readonly reason?: string }> }

/**
 * @param device the library's own; undefined: it has none yet
 * @param saysWithin milliseconds from the failure of a call in which a browser says that the card is lost
 */
export const untilLost = (device: () => GpuDevice | undefined, saysWithin = 1000): Guard => {
  const running = new Set<(thrown: DeviceError) => void>()
  let [watched, lost]: [GpuDevice | null, DeviceError | null] = [null, null]
  /** One listener serves all calls: the promise lives as long as the page, and would keep one for each call. */
  const watch = (): void => {
    const now = device()
    if (now === undefined || now === watched) return
    ;[watched, lost] = [now, null]
    now.lost.then(({ message, reason }) => {
      if (reason === 'destroyed') return // by the library: it gives the card back with its last session, and asks for it again
      lost = lostCard(message)
      for (const end of running) end(lost)
    })
  }
  return (call) =>
    new Promise((resolve, reject) => {
      if (lost !== null) return reject(lost)
      watch()
      running.add(reject)
      const end = (): void => {
        running.delete(reject)
        watch()
      }
      call().then(
        (value) => {
          end()
          resolve(value)
        },
        (thrown: unknown) =>
          setTimeout(() => {
            end()
            reject(thrown)
          }, saysWithin),
      )
    })
}

const lostCard = (message: string): DeviceError => {
  const [reason = ''] = message.split('\n')
  const got = reason === '' ? 'it lost' : `it lost (${reason})`
  return new DeviceError(`device webgpu: expected the graphics card until the run ends, got ${got}; reload the page and resume the run`)
}
