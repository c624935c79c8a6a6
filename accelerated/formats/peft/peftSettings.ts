/** The settings of a run that continues one of PEFT's adapters, from its configuration and the shapes of its tensors. */
import { readSafetensors } from '../../checkpoints/safetensors/safetensors.js'
import { fileInFolder, requiredFile } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { readText } from '../../storage/text.js'
import { adapterConfigLimit } from '../saloraJson.js'
import { parseAdaloraConfig } from './adalora.js'
import { adapterFiles } from './peft.js'
import { parsePeftConfig, readPeftType } from './peftConfig.js'
import { parsePromptConfig } from './promptLearning.js'

/** Settings of several methods by name; none for a folder of another format. A pruned AdaLoRA is plain LoRA of the ranks that remain. @throws InputError */
export const peftSettings = async (folder: string, storage: Storage): Promise<Readonly<Record<string, unknown>>> => {
  const type = await readPeftType(folder, storage)
  const file = (await fileInFolder(folder, adapterFiles.config, storage)) ?? ''
  const read = async (): Promise<string> => readText(file, adapterConfigLimit, storage)
  if (type === 'PREFIX_TUNING' || type === 'PROMPT_TUNING') {
    const method = type === 'PREFIX_TUNING' ? 'prefix' : 'prompt'
    return { method, numVirtualTokens: parsePromptConfig(method, await read(), file).num_virtual_tokens }
  }
  if (type === 'LORA') {
    const { r, lora_alpha: alpha, lora_dropout: dropout, use_rslora: useRslora, use_dora: useDora } = parsePeftConfig(await read(), file)
    const own = { useRslora: useRslora === true, useDora: useDora === true, loraDropout: dropout ?? 0, loraAlpha: alpha || r }
    return { method: 'lora', ...own, ...(await targetsAndRanks(folder, r, storage)) }
  }
  if (type === 'IA3') return { method: 'ia3', ...(await scaledMatrices(folder, storage)) }
  if (type !== 'ADALORA') return {}
  const { init_r: initR, target_r: targetR, lora_alpha: loraAlpha, lora_dropout: loraDropout } = parseAdaloraConfig(await read(), file)
  return { method: 'lora', initR, targetR, loraAlpha, loraDropout: loraDropout ?? 0, ...(await targetsAndRanks(folder, initR, storage)) }
}

/** The matrices with vectors, by the paths in the file: a row scales inputs, a column outputs. */
const scaledMatrices = async (folder: string, storage: Storage) => {
  const { tensors } = await readSafetensors(await requiredFile(folder, adapterFiles.weights, storage), storage)
  const vectors = [...tensors].flatMap(([key, { shape }]) => {
    const path = /^base_model\.model\.(.+)\.ia3_l$/.exec(key)?.[1]
    return path === undefined ? [] : [{ path, isInput: shape[0] === 1 }]
  })
  return {
    targetModules: vectors.map(({ path }) => path),
    feedforwardModules: vectors.flatMap(({ path, isInput }) => (isInput ? [path] : [])),
  }
}

/** The adapted matrices of layers, by the paths in the file, and the ranks that differ from r. Matrices of a head are not the method's. */
const targetsAndRanks = async (folder: string, r: number, storage: Storage) => {
  const { tensors } = await readSafetensors(await requiredFile(folder, adapterFiles.weights, storage), storage)
  const ranks = [...tensors].flatMap(
    ([
      key,
      {
        shape: [rank = r],
      },
    ]) => {
      const path = /^base_model\.model\.(.+\.\d+\..+)\.lora_A(?:\.weight)?$/.exec(key)?.[1]
      return path === undefined ? [] : [[path, rank] as const]
    },
  )
  const others = ranks.filter(([, rank]) => rank !== r)
  return {
    rank: r,
    targetModules: ranks.map(([path]) => path),
    loraBias: [...tensors.keys()].some((key) => key.endsWith('.base_layer.bias')) ? 'lora_only' : 'none',
    rankPattern: others.length === 0 ? null : Object.fromEntries(others),
  }
}
