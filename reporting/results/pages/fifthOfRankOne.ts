/** A small decoder at a fifth of rank 1: SaLoRA, random components, and LoRA on matrices that a person, SaLoRA or EVA chose. A lower loss is better. */
import type { Region } from '../page.js'
import {
  bestOfSet,
  differencesBySet,
  keptTable,
  meansTable,
  ratesTable,
  reportedPairs,
  setsTable,
  type Compared,
  type DecoderRun,
  type Titled,
} from './decoderRuns.js'
import { moreSeeds } from './moreSeeds.js'

const [onQV, onVO] = ['lora-1:target-modules=q_proj+v_proj', 'lora-1:target-modules=v_proj+o_proj']
/** SaLoRA from one component of each matrix, with the early window. */
export const fromOne = 'salora-1:density=0.1887:gate-start=0.02:gate-end=0.15'

/** Rows at a fifth of rank 1. */
const atFifth: ReadonlyArray<Titled> = [
  [onQV, 'LoRA, r = 1, on query and value'],
  [onVO, 'LoRA, r = 1, on value and output'],
  ['salora:density=0.0236:gate-start=0.02:gate-end=0.15', 'SaLoRA, from 8 components of each matrix'],
  [fromOne, 'SaLoRA, from one of each'],
  [`${fromOne}:retain=random`, 'SaLoRA, from one of each, random ones kept'],
  [`lora-1 on ranks of ${fromOne}:learning-rate=3e-3`, 'LoRA from scratch on the ones that SaLoRA kept'],
]

/** Kinds of matrices that LoRA may have for each set of text, at the rate that Alpaca chose. */
const kinds: ReadonlyArray<Titled> = [
  [onQV, 'query and value'],
  [onVO, 'value and output'],
  ['lora-1:target-modules=up_proj', '`up_proj`'],
  ['lora-1:target-modules=down_proj', '`down_proj`'],
]
const kindsRate = 3e-3

/** Rows of SaLoRA for each set of text, at the same rate. */
const choices: ReadonlyArray<Titled> = [
  [fromOne, 'one of each matrix'],
  ['salora-1:target-modules=up_proj+down_proj:density=0.5:gate-start=0.02:gate-end=0.15', 'one of each `up_proj` and `down_proj`'],
  ['salora-2:target-modules=up_proj:density=0.5:gate-start=0.02:gate-end=0.15', 'two of each `up_proj`'],
]

export const fifthOfRankOne = (runs: ReadonlyArray<DecoderRun>): Readonly<Record<string, Region>> => {
  const found: Titled = [fromOne, 'SaLoRA']
  const fifth = reportedPairs(runs, { base: [onVO, 'LoRA on value and output'], other: found, baseName: 'LoRA' })
  const chance = reportedPairs(runs, { base: [`${fromOne}:retain=random`, 'random ones kept'], other: found, baseName: 'random ones' })
  const onEva: Titled = ['lora-1 on ranks of eva.json', "LoRA on EVA's ranks"]
  const eva = reportedPairs(runs, { base: onEva, other: found, baseName: "LoRA on EVA's ranks" })
  const ofTuned: Compared = {
    base: [onVO, 'LoRA, tuned by set'],
    baseOf: (set) => bestOfSet(runs, kinds, kindsRate, set),
    other: found,
    baseName: 'LoRA',
  }
  const tuned = reportedPairs(runs, ofTuned)
  const evaMeans: ReadonlyArray<Compared> = [
    { base: [onVO, 'LoRA on value and output'], other: onEva, baseName: 'LoRA' },
    { ...ofTuned, other: onEva },
  ]
  const both = reportedPairs(runs, {
    base: [onVO, 'LoRA, tuned by set'],
    baseOf: (set) => bestOfSet(runs, kinds, kindsRate, set),
    other: [fromOne, 'SaLoRA, tuned by set'],
    otherOf: (set) => bestOfSet(runs, choices, kindsRate, set),
    baseName: 'LoRA',
  })
  return {
    'fifth-rates': ratesTable(runs, atFifth),
    'fifth-reported': fifth.table,
    'fifth-chart': fifth.chart,
    'fifth-random': chance.table,
    'fifth-eva': eva.table,
    'fifth-eva-means': meansTable(runs, evaMeans, kindsRate),
    'fifth-kinds': setsTable(runs, kinds, kindsRate, 'LoRA, r = 1, on'),
    'fifth-tuned': tuned.table,
    'fifth-seeds': moreSeeds(differencesBySet(runs, ofTuned, kindsRate), 8, 'set', 4),
    'fifth-choices': setsTable(runs, choices, kindsRate, 'SaLoRA, from'),
    'fifth-both': both.table,
    'fifth-kept': keptTable(runs, fromOne),
  }
}
