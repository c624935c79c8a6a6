/** What downloads say of themselves while they go on, and to whom: a line now and then, for a file that takes more than a moment. */
import type { DownloadProgress } from './hubDownload.js'

/** Milliseconds after which a file is worth a line, and between two. */
const [moment, interval] = [1_000, 10_000]

/** Of what is received, line by line: `downloading model.safetensors, 120 of 499 MB`. */
export const downloadReporter = (
  tell: (line: string) => void,
  now: () => number = () => performance.now(),
): ((at: DownloadProgress) => void) => {
  let [file, due] = ['', 0]
  return (at) => {
    if (at.file !== file) [file, due] = [at.file, now() + moment]
    if (now() < due || at.received === at.total) return
    due = now() + interval
    const megabytes = (bytes: number): string => Math.round(bytes / 1e6).toLocaleString('en-US')
    tell(`downloading ${file}, ${megabytes(at.received)} ${at.total === undefined ? 'MB' : `of ${megabytes(at.total)} MB`}`)
  }
}

let listener: (at: DownloadProgress) => void = () => undefined

/** Whoever downloads in this thread and is not told whom to tell, tells this one. */
export const onDownloadProgress = (tell: (line: string) => void): void => {
  listener = downloadReporter(tell)
}

export const reportDownload = (at: DownloadProgress): void => listener(at)
