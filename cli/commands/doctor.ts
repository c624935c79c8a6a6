/** salora doctor: what works on this machine. */
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os'
import type { Command } from 'commander'
import type { DeviceReport } from '../../accelerated/engines/deviceProbe.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { chooseDevice, deviceOf, probeDevices } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { versions } from '../../finetuning/runs/versions.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { megabytes } from '../format/numbers.js'

export const addDoctor = (command: Command): void => {
  command.description(
    'Runs a small product on each device and says which work, what is missing and how to get it. The exit code is 0 if the CPU works.',
  )
  withOutput(command, ['salora doctor --json'], async (_given, terminal) => {
    terminal.note('trying each device …')
    const devices = await probeDevices()
    const machine = {
      versions,
      platform: `${platform()} ${arch()}`,
      processor: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      freeMemoryBytes: freemem(),
    }
    const cpuWorks = devices.some(({ device, works }) => device === 'cpu' && works)
    const speedups = await speedupsOn(devices.filter(({ works }) => works).map(({ device }) => deviceOf(device)))
    const automatic = cpuWorks ? (await chooseDevice('auto')).name : null
    terminal.result(
      [
        ...devices.flatMap(deviceLines),
        ...speedups.map(
          ({ precision, device, speedup }) => `${precision.padEnd(10)}${speedup.toFixed(1)} × float32's rate in a product on ${device}`,
        ),
        '',
        `auto      ${automatic ?? 'none works'}`,
        `machine   ${machine.processor}, ${machine.cores} cores, ${megabytes(machine.memoryBytes)} of memory (${megabytes(machine.freeMemoryBytes)} free), ${machine.platform}`,
        `versions  ${Object.entries(versions)
          .map(([name, version]) => `${name} ${version}`)
          .join(', ')}`,
        `model     ${embeddedModel}`,
      ].join('\n'),
      { devices, auto: automatic, speedups, ...machine, embeddedModel },
    )
    return automatic === null ? exitCodes.failure : exitCodes.success
  })
}

type Speedup = { readonly precision: string; readonly device: string; readonly speedup: number }

/** What each precision is worth on each device that has arithmetic for it. */
const speedupsOn = async (devices: ReadonlyArray<Device>): Promise<ReadonlyArray<Speedup>> => {
  const found: Speedup[] = []
  for (const device of devices)
    for (const precision of precisions) {
      if (precision.speedup === undefined) continue
      const has = await checkDevice(precision, device).then(
        () => true,
        () => false,
      )
      if (has) found.push({ precision: precision.name, device: device.name, speedup: await precision.speedup(device, 0) })
    }
  return found
}

const deviceLines = ({ device, works, detail, remedy }: DeviceReport): ReadonlyArray<string> => [
  `${device.padEnd(8)}  ${(works ? 'works' : 'missing').padEnd(9)}${detail}`,
  ...(remedy === null ? [] : [`${''.padEnd(19)}to get it: ${remedy}`]),
]
