/** Flags as typed, by their names in camelCase, become the request that `salora train` makes of them. */
import { trainRequest, type TrainRequest } from '../../cli/options/trainRequest.js'
import { allTrainFlags } from '../../cli/options/trainFlags.js'
import type { Typed } from '../../finetuning/commandLine/flag.js'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'

export type TypedFlags = Readonly<Record<string, Typed>>

/** @throws UsageError for a text that is wrong */
export const typedRequest = async (typed: TypedFlags): Promise<TrainRequest> =>
  trainRequest(Object.fromEntries(Object.entries(allTrainFlags).map(([name, flag]) => [name, flag.parse(toFlag(name), typed[name])])))
