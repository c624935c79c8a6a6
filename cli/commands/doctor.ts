/** salora doctor: what works on this machine. */
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os'
import type { DeviceReport } from '../../accelerated/engines/deviceProbe.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { chooseDevice, deviceOf, probeDevices } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { versions } from '../../finetuning/runs/versions.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { megabytes } from '../format/numbers.js'

export const doctor = defineCommand({
  name: 'salora doctor',
  description:
    'Run a small product on each device and print which devices work, and how to get those that do not. Exits with 1 if the CPU fails.',
  flags: {},
  examples: [
    { command: 'salora doctor', result: 'Prints a line per device, the one that --device auto takes, the machine and the versions.' },
  ],
  run: async (_flags, terminal) => {
    terminal.note('testing each device …')
    const devices = await probeDevices()
    const cpuWorks = devices.some(({ device, works }) => device === 'cpu' && works)
    const speedups = await speedupsOn(devices.filter(({ works }) => works).map(({ device }) => deviceOf(device)))
    const auto = cpuWorks ? (await chooseDevice('auto')).name : null
    const machine = machineFacts()
    terminal.result(textOf(devices, speedups, auto, machine), { devices, auto, speedups, ...machine, embeddedModel })
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

type Speedup = { readonly precision: string; readonly device: string; readonly speedup: number }

/** The speedup over float32 of each precision on each device that has arithmetic for it. */
const speedupsOn = async (devices: ReadonlyArray<Device>): Promise<ReadonlyArray<Speedup>> => {
  const speedups: Speedup[] = []
  for (const device of devices)
    for (const precision of precisions) {
      if (precision.speedup === undefined) continue
      const isSupported = await checkDevice(precision, device).then(
        () => true,
        () => false,
      )
      if (isSupported) speedups.push({ precision: precision.name, device: device.name, speedup: await precision.speedup(device, 0) })
    }
  return speedups
}

const textOf = (
  devices: ReadonlyArray<DeviceReport>,
  speedups: ReadonlyArray<Speedup>,
  auto: string | null,
  { processor, cores, memoryBytes, freeMemoryBytes, platform: system }: ReturnType<typeof machineFacts>,
): string =>
  [
    ...devices.flatMap(deviceLines),
    ...speedups.map(
      ({ precision, device, speedup }) => `${precision.padEnd(10)}${speedup.toFixed(1)} × float32's speed in a product on ${device}`,
    ),
    '',
    `auto      ${auto ?? 'no device works'}`,
    `machine   ${processor}, ${cores} cores, ${megabytes(memoryBytes)} of memory (${megabytes(freeMemoryBytes)} free), ${system}`,
    `versions  ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    `model     ${embeddedModel}`,
  ].join('\n')

const deviceLines = ({ device, works, detail, remedy }: DeviceReport): ReadonlyArray<string> => [
  `${device.padEnd(8)}  ${(works ? 'works' : 'missing').padEnd(9)}${detail}`,
  ...(remedy === null ? [] : [`${''.padEnd(19)}to get it: ${remedy}`]),
]
