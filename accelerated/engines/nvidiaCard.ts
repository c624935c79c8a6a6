/** An NVIDIA card as its driver describes it: nvidia-smi answers within two seconds, or counts as absent. */
import { execFile } from 'node:child_process'
import type { Card } from './devices/device.js'

/** Milliseconds; where nvidia-smi wakes the card, it takes one second. */
const timeout = 2_000

/** The card of this number, as CUDA_VISIBLE_DEVICES numbers them; null where nvidia-smi is absent, slow, or does not know it. */
export const nvidiaCard = async (deviceId: number): Promise<Card | null> =>
  cardOf(await queried(deviceId, 'name,memory.total,driver_version'))

/** CUDA numbers the cards of that list from 0; nvidia-smi takes numbers and names. */
export const visibleCard = (deviceId: number, visible: string | undefined): string => {
  const name = visible?.split(',')[deviceId]?.trim() ?? ''
  return name === '' ? String(deviceId) : name
}

/** A line `NVIDIA H100, 81559, 550.54.15`, the memory in MiB; null for another text. */
export const cardOf = (line: string): Card | null => {
  const [, name = '', memory = '', driver = ''] = /^\s*([^,\n]{1,100}),\s*(\d{1,9}),\s*([\w.]{1,40})\s*$/.exec(line) ?? []
  return memory === '' ? null : { name, memoryBytes: Number(memory) * 2 ** 20, driver }
}

/** One line about one card; empty where it cannot be had. */
const queried = (deviceId: number, fields: string): Promise<string> =>
  new Promise((resolve) => {
    const card = visibleCard(deviceId, process.env['CUDA_VISIBLE_DEVICES'])
    const given = [`--id=${card}`, `--query-gpu=${fields}`, '--format=csv,noheader,nounits']
    execFile('nvidia-smi', given, { timeout, maxBuffer: 65_536, killSignal: 'SIGKILL' }, (error, stdout) =>
      resolve(error === null ? stdout : ''),
    )
  })
