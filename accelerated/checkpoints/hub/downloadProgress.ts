/** Reports downloads: a line every ten seconds for a file that takes more than one, and one for each wait. */
import type { DownloadProgress } from './hubDownload.js'

/** Milliseconds before a file's first line, and between two lines. */
const [firstLine, interval] = [1_000, 10_000]

/** Lines such as `downloading model.safetensors, 120 of 499 MB`. */
export const downloadReporter = (
  onLine: (line: string) => void,
  now: () => number = () => performance.now(),
): ((at: DownloadProgress) => void) => {
  let [file, due] = ['', 0]
  return (at) => {
    if (at.file !== file) [file, due] = [at.file, now() + firstLine]
    if (now() < due || at.received === at.total) return
    due = now() + interval
    const megabytes = (bytes: number): string => Math.round(bytes / 1e6).toLocaleString('en-US')
    onLine(`downloading ${file}, ${megabytes(at.received)} ${at.total === undefined ? 'MB' : `of ${megabytes(at.total)} MB`}`)
  }
}

let toLine: (line: string) => void = () => undefined
let toProgress: (at: DownloadProgress) => void = () => undefined

/** Sets the listener of downloads in this thread that have no listener of their own. */
export const onDownloadProgress = (onLine: (line: string) => void): void => {
  toLine = onLine
  toProgress = downloadReporter(onLine)
}

export const reportDownload = (at: DownloadProgress): void => toProgress(at)

/** @param reason why the request is repeated */
export const reportWait = (reason: string, seconds: number): void => toLine(`waiting ${Math.ceil(seconds)} s for the hub (${reason})`)
