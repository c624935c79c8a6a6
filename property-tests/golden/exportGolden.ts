/** Adapters as this library exports them, on the golden checkpoints: what `make_golden.py --check` loads into PEFT. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { padToRank, type LowRankAdapter, type LowRankPair, saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { normals } from '../../accelerated/parameters/random.js'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import { causalOutputs, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { folderOf, fixtures, type Family, type Golden } from './golden.js'

export const exportNames = ['compact', 'padded', 'rank-zero'] as const
export type ExportName = (typeof exportNames)[number]

/** Ranks 1 to 4, in turn; but one matrix keeps none in `rank-zero`. */
const rankOf = (name: ExportName, matrix: number): number => (name === 'rank-zero' && matrix === 4 ? 0 : 1 + ((3 * matrix) % 4))

const random = (stream: number, shape: readonly number[]): Weights => ({
  shape,
  data: Float32Array.from(normals(11, 'initialization', stream, elementCount(shape)), (x) => 0.2 * x),
})

/** An adapter of a method with numbers everywhere, head and BERT's pooler included. */
export const randomAdapter = async (family: Family, given: SettingsInput & { readonly method: string }): Promise<Adapter> => {
  const { model, outputs } = await openModelFolder(folderOf(family))
  const [method, settings] = [findMethod(given.method), resolveSettings(given)]
  const phase = method.phases.start(model.spec, settings)
  return {
    model,
    outputs,
    baseModelName: `golden/${family}`,
    method,
    settings,
    phase,
    tensors: new Map(method.train.tensors(phase, settings).map(({ name, shape }, i) => [name, random(i, shape)])),
    head: new Map([...model.sequenceHead(outputs.labels).tensors].map(([path, shape], i) => [path, random(100 + i, shape)])),
    labelNames: ['a', 'b', 'c'],
  }
}

const adapterOf = ({ model }: ModelFolder, outputs: ModelOutputs, name: ExportName): LowRankAdapter => {
  const head = outputs.head === 'sequence' ? model.sequenceHead(outputs.labels).tensors : []
  const adapter: LowRankAdapter = {
    model,
    outputs,
    baseModelName: `golden/${model.type}`,
    rank: 4,
    alpha: 8,
    ...(outputs.head === 'sequence' ? { labelNames: ['a', 'b', 'c'] } : {}),
    modules: new Map(
      model.spec.matrices.map(({ name: path, d, k }, i): [string, LowRankPair] => [
        path,
        { A: random(2 * i, [rankOf(name, i), k]), B: random(2 * i + 1, [d, rankOf(name, i)]) },
      ]),
    ),
    head: new Map([...head].map(([path, shape], i) => [path, random(100 + i, shape)])),
  }
  return name === 'padded' ? padToRank(adapter) : adapter
}

/** Writes FOLDER/family/name in PEFT's layout. → that folder */
export const exportGolden = async (folder: string, family: Family, name: ExportName): Promise<string> => {
  const at = join(folder, family, name)
  await mkdir(at, { recursive: true })
  const base = await openModelFolder(folderOf(family))
  await saveAdapter(at, adapterOf(base, base.outputs, name))
  return at
}

/** The same for a decoder that predicts the next token. */
export const exportDecoderGolden = async (folder: string, family: string, name: ExportName): Promise<string> => {
  const at = join(folder, family, name)
  await mkdir(at, { recursive: true })
  await saveAdapter(at, adapterOf(await openModelFolder(join(fixtures, family)), causalOutputs, name))
  return at
}

/** What an adapter says of all golden texts, on the path of `salora predict`. → [texts, labels], row by row */
export const predictGolden = async (
  family: Family,
  adapter: string | null,
  { batches }: Pick<Golden, 'batches'>,
  model = folderOf(family),
): Promise<readonly number[]> => {
  const opened = await openTrainedAdapter({
    model,
    adapter,
    device: 'cpu',
    precision: 'float32',
    threads: 1,
    maxLength: null,
    batchSize: 4,
  })
  const texts = batches.flatMap((batch) => batch.texts.map(([text, textPair]) => (textPair === undefined ? { text } : { text, textPair })))
  return (await opened.predict(texts).finally(opened.release)).flat()
}

/** Our numbers beside an export, for the comparison with PEFT. */
export const writeLogits = (adapter: string, logits: readonly number[]): Promise<void> =>
  writeFile(join(adapter, 'logits.json'), JSON.stringify(logits))
