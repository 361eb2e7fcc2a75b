// aedes with its defaults, in memory: node aedes.mjs PORT FOLDER
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const [port, folder] = process.argv.slice(2)
const { Aedes } = await import(pathToFileURL(join(folder, 'aedes.js')))
const broker = await Aedes.createBroker()
createServer({ noDelay: true }, broker.handle).listen(Number(port), '127.0.0.1', 4096)
