// MQTT.js by lines of JSON: commands on stdin, one answer each and every message on stdout. Payloads in base64.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const bytes = (text) => Buffer.from(text || '', 'base64')
let client = null

function told (packet) {
  const found = packet.properties || {}
  say({
    topic: packet.topic,
    payload: packet.payload.toString('base64'),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    response: found.responseTopic || '',
    correlation: (found.correlationData || Buffer.alloc(0)).toString('base64')
  })
}

function connect ({ url, options }) {
  return new Promise((resolve, reject) => {
    if (options.ca) options.ca = fs.readFileSync(options.ca)
    if (options.will) options.will.payload = bytes(options.will.payload)
    client = mqtt.connect(url, { reconnectPeriod: 0, ...options })
    client.on('message', (topic, payload, packet) => told(packet))
    client.on('connect', resolve)
    client.on('error', reject)
    client.on('close', () => reject(new Error('closed')))
  })
}

async function obey (order) {
  if (order.do === 'connect') return void await connect(order)
  if (order.do === 'subscribe') return (await client.subscribeAsync(order.filter, { qos: order.qos })).map((each) => each.qos)
  if (order.do === 'end') return void await client.endAsync()
  const properties = {}
  if (order.response) properties.responseTopic = order.response
  if (order.correlation) properties.correlationData = bytes(order.correlation)
  await client.publishAsync(order.topic, bytes(order.payload), { qos: order.qos, retain: order.retain, properties })
}

require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => obey(JSON.parse(line)).then((found) => say({ done: found || [] }), (error) => say({ failed: String(error) })))
  .on('close', () => process.exit(0))
