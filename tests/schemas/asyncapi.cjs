// Runs the official parser on an AsyncAPI document and prints what it has against it, one a line; exits 1 if anything.
// node asyncapi.cjs PARSER DOCUMENT

const fs = require('node:fs');
const { pathToFileURL } = require('node:url');

const [parser, document] = process.argv.slice(2);
// The build for browsers is the one that needs no other package. It asks a page where it is.
Object.assign(globalThis, { self: globalThis, window: globalThis, location: { href: pathToFileURL(document).href } });
const Parser = require(`${parser}/browser/index.js`);

const files = { schema: 'file', order: 1, canRead: true, read: (uri) => fs.readFileSync(uri.path(), 'utf8') };
const options = { __unstable: { resolver: { cache: false, resolvers: [files] } } };

async function main() {
  const text = fs.readFileSync(document, 'utf8');
  const { document: parsed, diagnostics } = await new Parser(options).parse(text, { source: document });
  const faults = diagnostics.filter((each) => each.code !== 'asyncapi-latest-version');
  for (const { code, message, path } of faults) console.log(`${code} at ${path.join('.')}: ${message}`);
  if (faults.length || !parsed) process.exit(1);
  const messages = parsed.allMessages().all().length;
  console.log(`${messages} messages on ${parsed.allChannels().all().length} channels`);
}

main();
