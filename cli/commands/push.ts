/** salora push: a run's adapter, or an export, on the Hugging Face hub. */
import {
  checkRepository,
  uploadFiles,
  type UploadEvent,
  type UploadFile,
  type UploadResult,
} from '../../accelerated/checkpoints/hub/hubUpload.js'
import { publishableFiles } from '../../finetuning/use/publishableFiles.js'
import { switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { bytesText, counted, plural } from '../format/numbers.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import type { Terminal } from '../terminal/output.js'
import { countProgress } from '../terminal/progress.js'

export const push = defineCommand({
  name: 'salora push',
  description:
    "Upload a run's adapter with its model card, or the folder of an export, to the Hugging Face hub as one commit. Files that the hub has already are not sent again. The token is that of HF_TOKEN, or of hf auth login; it needs write access.",
  arguments: [
    { name: 'run', description: 'Run folder, or folder of salora export', required: true },
    { name: 'name', description: 'Repository as OWNER/NAME, or NAME in your own account; created if it is new', required: true },
  ],
  flags: {
    Repository: {
      private: switchFlag('Create the repository as a private one; an existing one stays as it is'),
      revision: textFlag('branch', 'Branch; created if it is new', { default: 'main' }),
      message: textFlag('text', "The commit's message", { defaultText: 'Upload NAME with salora' }),
      baseModel: textFlag('id', "Hub id of the base model, where the run's model was a folder"),
      dryRun: switchFlag('List the files with their sizes, and send nothing'),
    },
  },
  examples: [
    {
      command: 'salora push runs/reviews my-reviews --private',
      result: 'Uploads runs/reviews/adapter to a private repository of your account, and prints its URL.',
    },
    { command: 'salora push exported/web me/my-reviews-web --dry-run', result: 'Lists what would be uploaded.' },
  ],
  run: async ({ private: isPrivate, revision, message, baseModel, dryRun }, terminal, [run = '', name = '']) => {
    checkRepository(name, revision)
    const { folder, files, leftOut, warnings } = await publishableFiles(run, baseModel)
    for (const warning of warnings) terminal.warn(warning)
    if (leftOut.length > 0)
      terminal.note(`not uploaded from ${folder}: ${leftOut.slice(0, 10).join(', ')}${leftOut.length > 10 ? ', …' : ''}`)
    if (dryRun) {
      terminal.result(listText(name, files), {
        repository: name,
        revision,
        files: files.map(({ path, bytes }) => ({ path, bytes })),
        leftOut,
      })
      return exitCodes.success
    }
    const progress = uploadProgress(terminal)
    const interrupt = watchInterrupt(() => terminal.note('stopping'), progress.close)
    try {
      const { signal } = interrupt
      const options = { repository: name, revision, message: message ?? `Upload ${name.split('/').at(-1)} with salora`, isPrivate, signal }
      const result = await uploadFiles(files, { ...options, onEvent: progress.show })
      progress.close()
      terminal.result(resultText(result), result)
      return exitCodes.success
    } catch (thrown) {
      progress.close()
      const code = interrupt.exitCode()
      if (code === null) throw thrown
      terminal.note('stopped; the same command sends only what is missing')
      return code
    } finally {
      interrupt.release()
    }
  },
})

const listText = (name: string, files: readonly UploadFile[]): string =>
  [
    ...files.map(({ path, bytes }) => `  ${path.padEnd(28)}${bytesText(bytes)}`),
    `${plural(files.length, 'file')}, ${bytesText(files.reduce((sum, { bytes }) => sum + bytes, 0))}, for ${name} (--dry-run: nothing was sent)`,
  ].join('\n')

const resultText = ({ uploaded, unchanged, url, commit }: UploadResult): string =>
  [
    ...uploaded.map((path) => `  ${path}`),
    ...(unchanged.length === 0 ? [] : [`${plural(unchanged.length, 'file')} the hub had already`]),
    commit === null ? `nothing to send: ${url} has these files` : url,
  ].join('\n')

type UploadProgress = { readonly show: (event: UploadEvent) => void; readonly close: () => void }

const uploadProgress = (terminal: Terminal): UploadProgress => {
  let bar: ReturnType<typeof countProgress> | null = null
  let [sent, total] = [0, 0]
  const kilobytes = (bytes: number): number => Math.ceil(bytes / 1_000)
  return {
    show: (event) => {
      if (event.kind === 'created') terminal.note(`created the repository ${event.repository}`)
      if (event.kind === 'begin') {
        total = event.files.reduce((sum, { bytes }) => sum + bytes, 0)
        if (total > 0) bar = countProgress('kB', kilobytes(total), terminal)
      }
      if (event.kind === 'sent') {
        sent += event.bytes
        if (sent > 0) bar?.show(kilobytes(Math.min(sent, total)))
      }
      if (event.kind === 'waiting') terminal.note(`${event.reason}; trying again in ${counted(Math.ceil(event.seconds))} s`)
    },
    close: () => {
      bar?.close()
      bar = null
    },
  }
}
