/** The commands in the order of --help, each loaded when it is called. */
import type { Command } from './terminal/command.js'

export type CommandEntry = {
  /** as typed after `salora` */
  readonly name: string
  /** one imperative line */
  readonly summary: string
  readonly load: () => Promise<Command>
}

export type CommandGroup = { readonly heading: string; readonly commands: readonly CommandEntry[] }

const entry = (name: string, summary: string, load: () => Promise<Command>): CommandEntry => ({ name, summary, load })

export const commandGroups: readonly CommandGroup[] = [
  {
    heading: 'Start',
    commands: [
      entry(
        'quickstart',
        'Fine-tune the embedded model on embedded reviews',
        async () => (await import('./commands/quickstart.js')).quickstart,
      ),
      entry('doctor', 'Check which devices work on this machine', async () => (await import('./commands/doctor.js')).doctor),
    ],
  },
  {
    heading: 'Train and use',
    commands: [
      entry('inspect', 'Look at the data before training on it', async () => (await import('./commands/inspect.js')).inspect),
      entry('label', 'Label a file, most informative rows first', async () => (await import('./commands/label.js')).label),
      entry('train', 'Fine-tune a model on a task', async () => (await import('./commands/train.js')).train),
      entry('tune', 'Search settings on held-out data', async () => (await import('./commands/tune.js')).tuneCommand),
      entry('worker', 'Take queued runs, or parts of one run, on any machine', async () => (await import('./commands/worker.js')).worker),
      entry('estimate', 'Estimate the memory of a run', async () => (await import('./commands/estimate.js')).estimate),
      entry('evaluate', 'Score a trained adapter or a classifier', async () => (await import('./commands/evaluate.js')).evaluate),
      entry('predict', 'Classify texts', async () => (await import('./commands/predict.js')).predict),
      entry('generate', 'Generate text with a decoder', async () => (await import('./commands/generate.js')).generate),
      entry('chat', 'Talk to a decoder', async () => (await import('./commands/chat.js')).chat),
      entry('serve', 'Serve runs over HTTP', async () => (await import('./commands/serve.js')).serve),
      entry(
        'export',
        'Export an adapter for PEFT, transformers.js and others',
        async () => (await import('./commands/export.js')).exportCommand,
      ),
      entry('merge', 'Merge several adapters into one, or into their model', async () => (await import('./commands/merge.js')).merge),
      entry('push', 'Upload an adapter or an export to the Hugging Face hub', async () => (await import('./commands/push.js')).push),
      entry('rank-pattern', "Print a run's ranks as PEFT arguments", async () => (await import('./commands/rankPattern.js')).rankPattern),
      entry(
        'report',
        'Write tables and charts of finished runs as one HTML file',
        async () => (await import('./commands/report.js')).report,
      ),
      entry('board', 'Show running and finished runs live in a browser', async () => (await import('./commands/board.js')).board),
    ],
  },
  {
    heading: 'Evaluate and compare (the paper)',
    commands: [
      entry('glue', 'Compare methods on GLUE in one table', async () => (await import('./commands/glue.js')).glue),
      entry(
        'style-transfer',
        'Transfer the style of sentences and score the result',
        async () => (await import('./commands/styleTransfer.js')).styleTransferCommand,
      ),
      entry('bleu', 'Score lines of text against references', async () => (await import('./commands/bleu.js')).bleu),
      entry('ngram train', 'Train an n-gram language model', async () => (await import('./commands/ngram/train.js')).ngramTrain),
      entry(
        'ngram score',
        'Score lines of text with an n-gram language model',
        async () => (await import('./commands/ngram/score.js')).ngramScore,
      ),
    ],
  },
  {
    heading: 'Machine',
    commands: [
      entry(
        'verify',
        'Compare accelerated training with the float64 reference',
        async () => (await import('./commands/verify.js')).verifyCommand,
      ),
      entry('bench', 'Measure training speed', async () => (await import('./commands/bench.js')).bench),
    ],
  },
]
