/** salora board: runs and sweeps of a folder, live, in a browser on this machine. */
import { hostname } from 'node:os'
import type { Command } from 'commander'
import { startBoard } from '../../reporting/board/server.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { numberOf } from '../options/flagValues.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

/** One that is always the same can be tunnelled to before the board is there. */
const usualPort = 8322

export const addBoard = (command: Command): void => {
  command.description(
    'Runs and sweeps below a folder, live, in a browser on this machine, until Ctrl-C: how far each is and the time it has left, curves that grow, ranks as the gates ' +
      'close, runs side by side with the settings in which they differ, the table of a sweep so far, and a button that stops a run as Ctrl-C does. It listens on ' +
      '127.0.0.1 alone and answers only who has the key in the address that it prints. It writes nothing; runs go on whether it is there or not.',
  )
  command
    .allowExcessArguments(true) // told below
    .argument('[dir]', 'with runs of salora train, sweeps of salora glue, or folders of such; it may be empty yet')
    .option('--port <n>', `to listen on; 0 takes any that is free (default: ${usualPort})`)
    .option('--redis <url>', 'also tell of the queue there, as salora glue and salora worker have it')
  withOutput(
    command,
    [
      'salora board runs',
      'salora board runs --port 0 --redis redis://queue.example:6379',
      'ssh -t -L 8322:127.0.0.1:8322 trainer salora board runs',
    ],
    async (given, terminal) => {
      const [folder, ...others] = command.args
      if (folder === undefined) throw usageError('salora board', 'a folder', 'none given')
      if (others.length > 0) throw usageError('salora board', 'one folder', `${1 + others.length}`)
      const port = given['port'] === undefined ? usualPort : numberOf('--port', String(given['port']))
      if (!Number.isInteger(port) || port < 0 || port > 65_535)
        throw usageError('--port', 'a whole number from 0 to 65535', String(given['port']))
      const redis = given['redis'] === undefined ? null : String(given['redis'])
      const interrupt = watchInterrupt(
        () => terminal.note('closing'),
        () => undefined,
      )
      try {
        const board = await startBoard({ folder, port, redis })
        terminal.result(`open it     ${board.url}`, { folder: board.folder, port: board.port, url: board.url })
        if (process.stderr.isTTY === true) {
          terminal.note(
            `from another machine: ssh -L ${board.port}:127.0.0.1:${board.port} ${inShell(hostname())}, and open the same address there`,
          )
          terminal.note('whoever has the address sees these runs and may stop them; Ctrl-C ends the board, and no run')
        }
        if (!interrupt.signal.aborted)
          await new Promise<void>((resolve) => interrupt.signal.addEventListener('abort', () => resolve(), { once: true }))
        await board.close()
        return exitCodes.success
      } finally {
        interrupt.release()
      }
    },
  )
}
