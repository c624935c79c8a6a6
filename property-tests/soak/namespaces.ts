/** Machines on one computer: network namespaces of Linux on a bridge, whose links have a bandwidth. It needs root, `ip` and `tc`. */
import { execFileSync } from 'node:child_process'

export type Link = {
  /** of each machine's link, each way */
  readonly megabits: number
}

export type Machines = {
  /** the address of a machine; 0 is the first */
  readonly address: (machine: number) => string
  /** a program on a machine, as a command and its arguments */
  readonly on: (machine: number, ...words: ReadonlyArray<string>) => readonly [string, ReadonlyArray<string>]
  /** gives every link another bandwidth */
  readonly shape: (link: Link) => void
  readonly remove: () => void
}

const run = (...words: ReadonlyArray<string>): void => {
  const [command = '', ...args] = words
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** @throws Error if this user may not make namespaces */
export const openMachines = (count: number): Machines => {
  const prefix = `salora${process.pid}`
  const numbers = Array.from({ length: count }, (_, machine) => machine)
  const [hub, space, port] = [`${prefix}hub`, (machine: number) => `${prefix}m${machine}`, (machine: number) => `p${machine}`]
  const inHub = ['ip', 'netns', 'exec', hub]
  const remove = (): void => {
    for (const name of [hub, ...numbers.map(space)])
      try {
        run('ip', 'netns', 'delete', name)
      } catch {
        // it was not made
      }
  }
  try {
    run('ip', 'netns', 'add', hub)
    run(...inHub, 'ip', 'link', 'add', 'name', 'bridge', 'type', 'bridge')
    run(...inHub, 'ip', 'link', 'set', 'bridge', 'up')
    for (const machine of numbers) {
      const inside = ['ip', 'netns', 'exec', space(machine)]
      run('ip', 'netns', 'add', space(machine))
      run(...inHub, 'ip', 'link', 'add', 'name', port(machine), 'type', 'veth', 'peer', 'name', 'net', 'netns', space(machine))
      run(...inHub, 'ip', 'link', 'set', port(machine), 'master', 'bridge', 'up')
      run(...inside, 'ip', 'address', 'add', `10.77.0.${machine + 1}/24`, 'dev', 'net')
      for (const device of ['lo', 'net']) run(...inside, 'ip', 'link', 'set', device, 'up')
    }
  } catch (thrown) {
    remove()
    throw thrown
  }
  const on: Machines['on'] = (machine, ...words) => ['ip', ['netns', 'exec', space(machine), ...words]]
  return {
    address: (machine) => `10.77.0.${machine + 1}`,
    on,
    remove,
    shape: ({ megabits }) => {
      const rate = ['tbf', 'rate', `${megabits}mbit`, 'burst', `${Math.max(32, megabits)}kb`, 'latency', '50ms']
      for (const machine of numbers) {
        const [command, args] = on(machine, 'tc', 'qdisc', 'replace', 'dev', 'net', 'root', ...rate)
        run(command, ...args)
        run(...inHub, 'tc', 'qdisc', 'replace', 'dev', port(machine), 'root', ...rate)
      }
    },
  }
}
