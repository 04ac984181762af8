// Reads a JSON array of {name, bundle, key, authority?, timestamps} from standard input, all bytes in base64, and
// writes an object from name to null (verified) or the reason why not.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

function verify({ bundle, key, authority, timestamps }) {
  const publicKey = createPublicKey(Buffer.from(key, "base64").toString());
  const certificates = (authority ?? []).map((der) => ({ rawBytes: Buffer.from(der, "base64") }));
  const trusted = toTrustMaterial(
    {
      certificateAuthorities: [],
      timestampAuthorities: certificates.length ? [{ certChain: { certificates } }] : [],
      tlogs: [],
      ctlogs: [],
    },
    () => ({ publicKey, validFor: () => true }), // the key that was given, whatever the bundle calls its own
  );
  const options = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: timestamps };
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(bundle, "base64"));
  new Verifier(trusted, options).verify(toSignedEntity(bundleFromJSON(JSON.parse(text))));
}

const found = {};
for (const one of JSON.parse(readFileSync(0, "utf-8"))) {
  try {
    verify(one);
    found[one.name] = null;
  } catch (error) {
    found[one.name] = `${error.name}: ${error.message}`;
  }
}
process.stdout.write(JSON.stringify(found));
