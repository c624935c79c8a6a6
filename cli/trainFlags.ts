/** The flags of `train`, as a table: name in camelCase (which is also its key in a --config file), what it takes, what it means. */
import type { Command } from 'commander'
import { settingsSchema } from '../accelerated/settings.js'
import { flagOf } from './flagNames.js'

/** How a flag's text is read: as it is, as a number, or cut at commas. A switch takes nothing. */
export type FlagKind = 'text' | 'number' | 'list' | 'switch'
export type Flag = { readonly name: string; readonly kind: FlagKind; readonly takes: string; readonly help: string }

const flag = (name: string, kind: FlagKind, takes: string, help: string): Flag => ({ name, kind, takes, help })

export const flagGroups: ReadonlyArray<{ readonly heading: string; readonly flags: ReadonlyArray<Flag> }> = [
  {
    heading: 'Model and data:',
    flags: [
      flag('model', 'text', 'folder|id', 'model in Hugging Face layout (BERT or RoBERTa), or a hub id'),
      flag('task', 'text', 'name|file', 'cola, sst2, mrpc, stsb, rte, qnli, qqp, mnli, wnli, sentiment, or a .tsv, .csv or .jsonl file'),
      flag('text', 'text', 'column', 'column of the text in a file (default: text)'),
      flag('textPair', 'text', 'column', 'column of the second text, where there are pairs'),
      flag('label', 'text', 'column', 'column of the label (default: label)'),
      flag('problem', 'text', 'kind', 'classification or regression, for a file (default: classification)'),
      flag('data', 'text', 'folder', "folder of GLUE's official files"),
      flag('evalData', 'text', 'file', 'file to evaluate on (default: the dev file; of a file, a tenth held out)'),
    ],
  },
  {
    heading: 'Method:',
    flags: [
      flag('method', 'text', 'name', 'salora or lora'),
      flag('targetModules', 'list', 'names', 'adapted matrices by suffix, with commas: query,value (default: all six of each layer)'),
      flag('rank', 'number', 'r', 'rank of each adapter at the start'),
      flag('rankPattern', 'text', 'file', 'of --method lora: ranks by matrix, as salora rank-pattern prints them'),
      flag('alpha', 'number', 'number', 'the adapter counts alpha / rank'),
      flag('initialisation', 'text', 'name', 'of A: kaiming or gaussian'),
      flag('density', 'number', 'b', "share of the adapter's parameters to end with"),
      flag('beta', 'number', 'number', 'weight of the orthogonality term'),
      flag('tau', 'number', 'number', 'temperature of the gates'),
      flag('gamma', 'number', 'number', 'lower end of the stretched gate, below 0'),
      flag('zeta', 'number', 'number', 'upper end of the stretched gate, above 1'),
      flag('gateStart', 'number', 'fraction', 'of the run after which gates are sampled'),
      flag('gateEnd', 'number', 'fraction', 'of the run after which the best triplets are retained'),
      flag('retain', 'text', 'rule', 'budget (exactly the density asked for) or paper (every gate with a positive expectation)'),
      flag('gateAfter', 'text', 'how', 'retained gates go on at their expectation (soft) or at 1 (binary)'),
      flag('warmupGate', 'text', 'how', 'gates before the window: 1 (open) or their expectation (expected)'),
      flag('lambdaOptimizer', 'text', 'name', 'adam or sgd'),
    ],
  },
  {
    heading: 'Training:',
    flags: [
      flag('learningRate', 'number', 'rate', 'at its peak, for adapters and head'),
      flag('controlLearningRate', 'number', 'rate', 'for gates and multiplier'),
      flag('weightDecay', 'number', 'number', 'of A, B and head matrices'),
      flag('warmup', 'number', 'fraction', 'of the run, in which the learning rate rises'),
      flag('epochs', 'number', 'number', 'passes over the training data'),
      flag('maxSteps', 'number', 'steps', 'instead of --epochs'),
      flag('batchSize', 'number', 'examples', 'in one batch'),
      flag('accumulate', 'number', 'batches', 'whose gradients make one step'),
      flag('maxLength', 'number', 'tokens', 'of one example; longer ones are cut'),
      flag('clip', 'number', 'norm', 'largest gradient norm (default: no clipping)'),
      flag('dropout', 'number', 'probability', "instead of those of the model's config.json"),
      flag('seed', 'number', 'n', 'of everything random'),
    ],
  },
  {
    heading: 'Machine:',
    flags: [
      flag('device', 'text', 'name', 'auto, cpu, webgpu or cuda'),
      flag('precision', 'text', 'name', 'float32 or float64'),
      flag('threads', 'number', 'n', 'of the CPU; 0 lets ONNX Runtime choose'),
    ],
  },
  {
    heading: 'Run:',
    flags: [
      flag('output', 'text', 'folder', 'of the run (default: runs/<task>-<method>-<n>)'),
      flag('resume', 'switch', '', 'go on with the run in --output, with its own settings'),
      flag('saveEvery', 'number', 'steps', 'between checkpoints (default: at each evaluation)'),
      flag('evalEvery', 'number', 'steps', 'between evaluations (default: an epoch)'),
    ],
  },
]

export const trainFlags: ReadonlyArray<Flag> = flagGroups.flatMap(({ flags }) => flags)

/** Adds the flags named (all, if none are) to a command, in their groups, with the defaults of the settings. */
export const addFlags = (command: Command, names?: ReadonlyArray<string>): Command => {
  const defaults: Readonly<Record<string, unknown>> = settingsSchema.parse({})
  for (const { heading, flags } of flagGroups) {
    const wanted = flags.filter(({ name }) => names === undefined || names.includes(name))
    if (wanted.length > 0 && names === undefined) command.optionsGroup(heading)
    for (const { name, kind, takes, help } of wanted) {
      const known = defaults[name]
      const told = known === undefined || known === null ? help : `${help} (default: ${String(known)})`
      command.option(kind === 'switch' ? flagOf(name) : `${flagOf(name)} <${takes}>`, told)
    }
  }
  return command
}
