import ImageFixtures
import Testing

@testable import Registry

/// The parsers of what servers, files and people write, on text that is right and then is changed at random.
@Suite struct ForeignTextTests {
    private static let seeds = [
        "ghcr.io/a/b:tag@sha256:" + String(repeating: "0a", count: 32), "localhost:5000/x__y/z-1", "[::1]:1/a",
        #"Bearer realm="https://auth.example/token?x=y",service="r",scope="repository:a/b:pull,push""#,
        #"Negotiate YII==, Basic realm="\"x\"", charset=UTF-8"#, "Sun, 06 Nov 1994 08:49:37 GMT", "bytes 1-2/3",
        #"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"a/b":{"identitytoken":"x"}},"credsStore":"y","n":[1,2.5,null]}"#,
        #"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow","detail":{}}]}"#, #"</v2/a?last=b>; rel="next""#,
        "https://user@host.example:5000/a/b?c=d#e", #"{"schemaVersion":2,"config":{},"layers":[],"mediaType":"a"}"#,
    ]

    @Test("nothing that is read makes a parser trap, and what a reference prints is read as the same")
    func everything() throws {
        var generator = SeededGenerator(seed: 42)
        for round in 0..<3_000 {
            var bytes = Array(Self.seeds[round % Self.seeds.count].utf8)
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                let at = Int.random(in: 0...bytes.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: at)
                case 1: if at < bytes.count { bytes.remove(at: at) }
                case 2: if at < bytes.count { bytes[at] = UInt8.random(in: 0...127, using: &generator) }
                case 3: bytes.insert(contentsOf: bytes[at...].prefix(20), at: at)
                default:
                    if let byte = #":/@"\,=[]{}.-"#.utf8.randomElement(using: &generator) { bytes.insert(byte, at: at) }
                }
            }
            try read(bytes)
        }
    }

    private func read(_ bytes: [UInt8]) throws {
        let text = String(decoding: bytes, as: UTF8.self)
        if let reference = try? ImageReference(text) {
            #expect(try ImageReference(reference.description) == reference)
            #expect(try ImageReference(reference.shortDescription) == reference)
        }
        for challenge in AuthenticationChallenge.parse(text) { #expect(!challenge.scheme.isEmpty) }
        _ = RetryAfter.parse(text)
        _ = RegistryClient.next(text)
        if let address = WebAddress(text) {
            #expect(WebAddress(address.text) == address)
            _ = address.resolving(text)
        }
        let body = ErrorBody(bytes, contentType: nil)
        #expect(body.text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
        if var file = AuthFile(bytes) {
            _ = file.helper(for: "docker.io")
            _ = file.credential(for: "a", repository: "b/c")
            file.set(.password(user: "u", password: "p"), for: "r.example")
            #expect(AuthFile(file.bytes)?.credential(for: "r.example", repository: nil) != nil)
        }
        _ = try? Manifest(
            bytes, contentType: "application/json", announcedDigest: text, wanted: nil, what: "x", host: "h")
        try? BlobDownload(descriptor([1, 2, 3]), BlobMemory(), { _ in }).checkRange(text, "h")
    }
}
