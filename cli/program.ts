/** The program: the commands in the order of --help, each loaded when it is called, and what ends it with an exit code. */
import { Command, CommanderError } from 'commander'
import { lazyImport, LoadingError, preloadZod } from '../accelerated/errors/lazyImport.js'
import { versions } from '../finetuning/runs/versions.js'
import { exitCodes } from './terminal/exitCodes.js'

type Entry = { readonly name: string; readonly summary: string; readonly load: () => Promise<(command: Command) => void> }

const commands: ReadonlyArray<Entry> = [
  {
    name: 'quickstart',
    summary: 'fine-tunes the embedded model on the embedded data',
    load: async () => (await import('./commands/quickstart.js')).addQuickstart,
  },
  { name: 'train', summary: 'one fine-tuning run', load: async () => (await import('./commands/train.js')).addTrain },
  {
    name: 'estimate',
    summary: 'the memory that a run will need',
    load: async () => (await import('./commands/estimate.js')).addEstimate,
  },
  { name: 'evaluate', summary: 'scores a trained adapter', load: async () => (await import('./commands/evaluate.js')).addEvaluate },
  {
    name: 'predict',
    summary: 'one text a line in, one JSON line out',
    load: async () => (await import('./commands/predict.js')).addPredict,
  },
  {
    name: 'generate',
    summary: 'text from a decoder: greedy, by beams, or sampled',
    load: async () => (await import('./commands/generate.js')).addGenerate,
  },
  {
    name: 'bleu',
    summary: 'scores lines of text against human ones',
    load: async () => (await import('./commands/bleu.js')).addBleu,
  },
  {
    name: 'glue',
    summary: 'tables and figures of the paper on GLUE: many runs, one table',
    load: async () => (await import('./commands/glue.js')).addGlue,
  },
  {
    name: 'worker',
    summary: 'makes the runs of sweeps that stand in a queue, on any machine',
    load: async () => (await import('./commands/worker.js')).addWorker,
  },
  {
    name: 'report',
    summary: 'tables and figures of finished runs, one file, no network',
    load: async () => (await import('./commands/report.js')).addReport,
  },
  {
    name: 'board',
    summary: 'the same, live, in a browser on this machine: progress, curves, ranks, a button that stops a run',
    load: async () => (await import('./commands/board.js')).addBoard,
  },
  {
    name: 'style-transfer',
    summary: 'sentences in another style, by a decoder or by others, scored beside the paper',
    load: async () => (await import('./commands/styleTransfer.js')).addStyleTransfer,
  },
  {
    name: 'export',
    summary: 'hands a trained adapter to other tools',
    load: async () => (await import('./commands/export.js')).addExport,
  },
  {
    name: 'rank-pattern',
    summary: 'the ranks that a run found, as arguments of an ordinary LoRA',
    load: async () => (await import('./commands/rankPattern.js')).addRankPattern,
  },
  {
    name: 'ngram',
    summary: 'trains n-gram language models and scores text with them, as KenLM',
    load: async () => (await import('./commands/ngram.js')).addNgram,
  },
  {
    name: 'verify',
    summary: 'compares the accelerated path with the reference on this machine',
    load: async () => (await import('./commands/verify.js')).addVerify,
  },
  {
    name: 'doctor',
    summary: 'which devices work here, what is missing, how to get it',
    load: async () => (await import('./commands/doctor.js')).addDoctor,
  },
  { name: 'bench', summary: 'measures this machine', load: async () => (await import('./commands/bench.js')).addBench },
]

/** Columns of a line that is still read with ease. */
const widest = 120

/** With the flags of the command that is called; of the others, what --help lists. */
const program = async (called: string | undefined): Promise<Command> => {
  const whole = new Command('salora')
    .description(
      'Fine-tunes encoders and decoders by structure-aware low-rank adaptation (SaLoRA), which finds the rank of each matrix within an exact budget of parameters, ' +
        'and by LoRA, AdaLoRA, adapters, prefixes and prompts.',
    )
    .version(versions['salora'] ?? '', '--version', 'the version')
    .helpOption('--help', 'this text')
    .helpCommand(false)
    .configureOutput({ outputError: () => undefined, getOutHelpWidth: () => Math.min(process.stdout.columns ?? 80, widest) })
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      '\nEach command has its own --help with an example. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.\n',
    )
  for (const { name, summary, load } of commands) {
    const command = whole.command(name).summary(summary)
    if (name !== called) continue
    await preloadZod()
    ;(await lazyImport(load()))(command)
  }
  return whole
}

/** Runs what was typed after `salora`; sets process.exitCode. */
export const runProgram = async (args: ReadonlyArray<string>): Promise<void> => {
  try {
    // the program itself has no flag that takes a value, so the command is the first word
    await (await program(args.find((arg) => !arg.startsWith('-')))).parseAsync(args, { from: 'user' })
  } catch (error) {
    const isShown = error instanceof CommanderError && ['commander.helpDisplayed', 'commander.version'].includes(error.code)
    if (error instanceof CommanderError && error.code === 'commander.help') process.exitCode = exitCodes.wrongUsage
    else if (!isShown) process.exitCode = await reported(error)
  }
}

/** One line on standard error → the exit code. What words errors is loaded for one alone. */
export const reported = async (error: unknown): Promise<number> => {
  try {
    if (!(error instanceof LoadingError)) return (await lazyImport(import('./terminal/reportError.js'))).reportError(error)
    process.stderr.write(`${error.message}\n`)
    return exitCodes.failure
  } catch (unloaded) {
    if (unloaded === error || !(unloaded instanceof LoadingError)) throw unloaded
    return reported(unloaded)
  }
}
