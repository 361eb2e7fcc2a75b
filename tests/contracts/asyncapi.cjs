// The official parser reads an AsyncAPI document from stdin and says on stdout, as JSON, what it thinks of it.
'use strict'
const fs = require('fs')
const { Parser } = require('@asyncapi/parser')

async function main () {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(0, 'utf8'))
  const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join('/') }))
  const operations = document
    ? document.operations().all().map((each) => ({
      id: each.id(),
      action: each.action(),
      addresses: each.channels().all().map((channel) => channel.address()),
      messages: each.messages().all().length,
      reply: each.reply() ? each.reply().channel().address() : ''
    }))
    : []
  fs.writeSync(1, JSON.stringify({ diagnostics: found, operations }))
}

main()
