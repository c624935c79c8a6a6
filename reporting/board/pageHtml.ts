/** The HTML of the board. It contains nothing of the folder but its name, and loads the board's script and style. */
import { escapeHtml } from '../charts/escapeHtml.js'

export const pageHtml = (name: string): string =>
  `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>salora board: ${escapeHtml(name)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="board.css"></head>
<body><header><h1><a href="#/">salora board: ${escapeHtml(name)}</a></h1><p id="status" role="status">connecting …</p></header>
<main id="main" tabindex="-1"></main><noscript><p>The board needs JavaScript.</p></noscript>
<script src="board.js"></script></body></html>
`
