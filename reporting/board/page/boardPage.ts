/** The board's page before it is told anything: it holds nothing of the folder but its name, and loads its script and its style alone. */
import { escapeHtml } from '../../charts/escapeText.js'

export const boardPage = (name: string): string =>
  `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>salora board: ${escapeHtml(name)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="board.css"></head>
<body><header><h1><a href="#/">salora board: ${escapeHtml(name)}</a></h1><p id="status" role="status">asking for what is there …</p></header>
<main id="main" tabindex="-1"></main><noscript><p>The board needs its script, which this browser does not run.</p></noscript>
<script src="board.js"></script></body></html>
`
