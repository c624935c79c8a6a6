/** salora generate: prompts in, text of a decoder out, as it is written. */
import type { Command } from 'commander'
import { promptTemplates, templateOf } from '../../finetuning/data/promptTemplates.js'
import { orderedOutput } from '../../finetuning/adapters/orderedOutput.js'
import { openGenerator } from '../../finetuning/adapters/generator.js'
import { adapterRequest, addModelFlags } from '../options/adapterRequest.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { addGenerationFlags, generationRequest } from '../options/generateFlags.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { counted, plural } from '../format/numbers.js'
import { promptsOf } from '../input/promptInput.js'
import { printable } from '../terminal/output.js'

const machine = ['device', 'precision', 'threads']

export const addGenerate = (command: Command): void => {
  command.description(
    'Writes what a decoder has to say after a prompt: the text itself, as it comes, or of a file one JSON line an answer, {"prompt", "text", "tokens", ' +
      '"ended"}, in the order of the prompts; with --json one document. ended is "end" (the model\'s end of text), "stop" (a text of --stop) or ' +
      '"length". Tokens are the likeliest, unless --num-beams looks for a likelier whole or --temperature, --top-k or --top-p draw them.',
  )
  addModelFlags(command, machine)
  command
    .option('--prompt <text>', 'to go on from')
    .option(
      '--input <file>',
      'instead of --prompt: JSON lines, each {"prompt": TEXT}, {"instruction": TEXT, "input": TEXT} or {"messages": […]}',
    )
    .option(
      '--prompt-template <name>',
      `of instructions: ${promptTemplates.join(', ')} (default: the run's, else paper); with it, --prompt is one`,
    )
  addGenerationFlags(command)
  withOutput(
    command,
    [
      `salora generate --model models/smollm2 --prompt 'The capital of France is' --max-new-tokens 20`,
      'salora generate --run runs/alpaca-salora-1 --input prompts.jsonl --num-beams 4 > answers.jsonl',
      `salora generate --model models/smollm2 --prompt 'Once upon a time' --temperature 0.7 --top-p 0.9 --seed 3`,
    ],
    async (given, terminal) => {
      const settings = generationRequest(given)
      const { adapter, runTask } = await adapterRequest(
        Object.fromEntries(['run', 'model', 'adapter', ...machine].map((name) => [name, given[name]])),
      )
      const prompts = await promptsOf(given, templateOf(runTask ?? {}))
      const generator = await openGenerator(adapter)
      const interrupt = watchInterrupt(
        () => terminal.note('stopping after the token at hand; once more leaves at once'),
        () => undefined,
      )
      const single = given['input'] === undefined
      const written: Answer[] = []
      try {
        const ids = prompts.map(({ prompt, where }) => generator.encode(prompt, where))
        const begun = performance.now()
        const tell = tellerOf(terminal.json ? 'document' : single ? 'text' : 'lines')
        for await (const event of orderedOutput(generator.answers(ids, settings, interrupt.signal)))
          if (event.kind === 'piece') tell.piece(event.text)
          else {
            const answer = { prompt: prompts[event.prompt]?.told, text: event.text, tokens: event.tokens, ended: event.ended }
            written.push(answer)
            tell.answer(answer)
          }
        if (terminal.json) terminal.result('', single ? (written[0] ?? null) : written)
        else if (single && written.length === 0) process.stdout.write('\n')
        const tokens = written.reduce((sum, answer) => sum + answer.tokens, 0)
        const seconds = (performance.now() - begun) / 1000
        if (written.length > 0) terminal.note(`${plural(tokens, 'token')} on ${generator.device}, ${counted(tokens / seconds)} a second`)
      } finally {
        interrupt.release()
        await generator.release()
      }
      return interrupt.exitCode() ?? exitCodes.success
    },
  )
}

type Answer = { readonly prompt: unknown; readonly text: string; readonly tokens: number; readonly ended: string }

/** Where pieces and answers go. */
const tellerOf = (
  to: 'document' | 'text' | 'lines',
): { readonly piece: (text: string) => void; readonly answer: (answer: Answer) => void } => {
  const write = (text: string): void => void process.stdout.write(printable(text))
  return {
    piece: to === 'text' ? write : () => undefined,
    answer: to === 'document' ? () => undefined : to === 'text' ? () => write('\n') : (answer) => write(`${JSON.stringify(answer)}\n`),
  }
}
