/** salora doctor: what works on this machine. */
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os'
import { automaticDevice, type DeviceReport } from '../../accelerated/engines/deviceProbe.js'
import type { Card } from '../../accelerated/engines/nativeMachine.js'
import { devices as known } from '../../accelerated/engines/devices/index.js'
import { productsSaturate } from '../../accelerated/engines/saturation.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { versions } from '../../finetuning/run/versions.js'
import { probeInSubprocess, examineDevice, type Examined, type Speedup } from '../doctor/probeInSubprocess.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { megabytes } from '../format/numbers.js'

export const doctor = defineCommand({
  name: 'salora doctor',
  description:
    'Take a small training step on each device and print which devices work, and how to get those that do not. Exits with 1 if the CPU fails.',
  flags: {},
  examples: [
    {
      command: 'salora doctor',
      result: 'Prints a line per device, the speed of each precision, the device that --device auto takes, the machine and the versions.',
    },
  ],
  run: async (_flags, terminal) => {
    terminal.note('testing each device …')
    const examined: Examined[] = []
    for (const { name, isolated } of known) examined.push(await (isolated === true ? probeInSubprocess(name) : examineDevice(name)))
    const devices = examined.map(({ report }) => report)
    const speedups = examined.flatMap((one) => one.speedups)
    const cpuWorks = devices.some(({ device, works }) => device === 'cpu' && works)
    const auto = cpuWorks ? automaticDevice(devices) : null
    const card = (await known.find(({ card: read }) => read !== undefined)?.card?.()) ?? null
    const machine = machineFacts()
    const saturates = cpuWorks ? await productsSaturate() : null
    const text = formatReport(devices, [...speedups.map(speedupLine), ...exactProducts(saturates)], auto, card, machine)
    terminal.result(text, { devices, auto, speedups, productsSaturate: saturates, card, ...machine, embeddedModel })
    return auto === null ? exitCodes.failure : exitCodes.success
  },
})

const machineFacts = () => ({
  versions,
  platform: `${platform()} ${arch()}`,
  processor: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  freeMemoryBytes: freemem(),
})

const formatReport = (
  devices: readonly DeviceReport[],
  products: readonly string[],
  auto: string | null,
  card: Card | null,
  { processor, cores, memoryBytes, freeMemoryBytes, platform: system }: ReturnType<typeof machineFacts>,
): string =>
  [
    ...devices.flatMap(deviceLines),
    ...products,
    '',
    `auto      ${auto ?? 'no device works'}`,
    `machine   ${processor}, ${cores} cores, ${megabytes(memoryBytes)} of memory (${megabytes(freeMemoryBytes)} free), ${system}`,
    ...(card === null ? [] : [`card      ${card.name}, ${megabytes(card.memoryBytes)} of memory, driver ${card.driver}`]),
    `versions  ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    `model     --model embedded: ${embeddedModel}`,
  ].join('\n')

const speedupLine = ({ precision, device, speedup }: Speedup): string =>
  `${precision.padEnd(10)}${speedup.toFixed(1)} × float32's speed in a product on ${device}`

/** What int8 multiplies on this processor. @param saturates null where the CPU does not work */
export const exactProducts = (saturates: boolean | null): readonly string[] => {
  if (saturates === null) return []
  const factors = saturates ? 'uint8 × uint8, since uint8 × int8 saturates' : 'uint8 × int8, which is exact'
  return [`int8      multiplies ${factors} on this processor`]
}

const deviceLines = ({ device, works, detail, remedy }: DeviceReport): readonly string[] => [
  `${device.padEnd(8)}  ${(works ? 'works' : 'missing').padEnd(9)}${detail}`,
  ...(remedy === null ? [] : [`${''.padEnd(19)}to get it: ${remedy}`]),
]
