/** salora board: runs and sweeps of a folder, live, in a browser on this machine. */
import { hostname } from 'node:os'
import { startBoard } from '../../reporting/board/server.js'
import { countFlag } from '../../finetuning/commandLine/flag.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'

/** A fixed port can be tunnelled to before the board runs. */
const defaultPort = 8322

export const board = defineCommand({
  name: 'salora board',
  description:
    'Show the runs and sweeps below a folder live in a browser: progress, curves, ranks, tables and a stop button. A field classifies a sentence. It listens on 127.0.0.1, requires the token in the printed URL, and runs until Ctrl-C.',
  arguments: [{ name: 'dir', description: 'Folder of runs and sweeps; it may still be empty', required: true }],
  flags: {
    Server: {
      port: countFlag('n', 'Port; 0 takes any free one', { from: 0, to: 65_535, default: defaultPort }),
    },
  },
  examples: [
    { command: 'salora board runs', result: 'Prints the URL to open.' },
    { command: 'ssh -t -L 8322:127.0.0.1:8322 trainer salora board runs', result: 'Shows the runs of another machine at the printed URL.' },
  ],
  run: async ({ port }, terminal, [folder = '']) => {
    const interrupt = watchInterrupt(
      () => terminal.note('closing'),
      () => undefined,
    )
    try {
      const server = await startBoard({ folder, port })
      terminal.result(`open it     ${server.url}`, { folder: server.folder, port: server.port, url: server.url })
      if (process.stderr.isTTY === true) {
        terminal.note(`from another machine: ssh -L ${server.port}:127.0.0.1:${server.port} ${inShell(hostname())}, then open the same URL`)
        terminal.note('anyone with this URL can see and stop these runs; Ctrl-C closes the board and stops no run')
      }
      if (!interrupt.signal.aborted)
        await new Promise<void>((resolve) => interrupt.signal.addEventListener('abort', () => resolve(), { once: true }))
      await server.close()
      return exitCodes.success
    } finally {
      interrupt.release()
    }
  },
})
