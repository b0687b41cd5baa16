import Archives
import ImageFixtures
import Testing

@testable import Registry

@Suite struct ImageReferenceTests {
    private static let digits = String(repeating: "ab", count: 32)

    @Test(
        "names are read as people write them",
        arguments: [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("library/x", "docker.io/library/x:latest", "x:latest"),
            ("a/b:1.0", "docker.io/a/b:1.0", "a/b:1.0"),
            ("docker.io/python:3.13", "docker.io/library/python:3.13", "python:3.13"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("ghcr.io/a/b:tag", "ghcr.io/a/b:tag", "ghcr.io/a/b:tag"),
            ("GHCR.io/a/b:Tag", "ghcr.io/a/b:Tag", "ghcr.io/a/b:Tag"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x/y/z", "localhost:5000/x/y/z:latest", "localhost:5000/x/y/z:latest"),
            ("[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1"),
            ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
            ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"),
            ("x@sha256:\(digits)", "docker.io/library/x@sha256:\(digits)", "x@sha256:\(digits)"),
            ("h:1/x:t@sha256:\(digits)", "h:1/x:t@sha256:\(digits)", "h:1/x:t@sha256:\(digits)"),
        ])
    func names(text: String, canonical: String, short: String) throws {
        let reference = try ImageReference(text)
        #expect(reference.description == canonical)
        #expect(reference.shortDescription == short)
        #expect(try ImageReference(canonical) == reference)
        #expect(try ImageReference(short) == reference)
    }

    @Test("a digest stands above a tag, and a pinned reference keeps its tag")
    func pinning() throws {
        let digest = SHA256.digest(of: [1])
        let reference = try ImageReference("ghcr.io/a/b:t")
        #expect(reference.tagOrDigest == "t")
        #expect(reference.pinned(to: digest).tagOrDigest == "\(digest)")
        #expect(reference.pinned(to: digest).tag == "t")
        #expect(try reference.pinned(to: digest).tagged("u").description == "ghcr.io/a/b:u")
    }

    @Test(
        "what is no name is refused, with the part that is wrong",
        arguments: [
            ("", "empty"), ("https://ghcr.io/a", "without https"), ("Foo", "upper-case"), ("a/Foo:x", "upper-case"),
            ("a b", "spaces"), ("a//b", "empty"), ("/a", "empty"), ("a/", "empty"), ("a:", "tag"), ("a:.x", "tag"),
            ("a:-x", "tag"), ("a:" + String(repeating: "t", count: 129), "tag"), ("a@", "sha256"),
            ("a@sha256:12", "64 lower-case"), ("a@sha512:12", "no other kind"), ("a@md5", "no other kind"),
            ("_a", "lower-case"), ("a_", "lower-case"), ("a___b", "lower-case"), ("a..b", "lower-case"),
            ("a._b", "lower-case"), ("ghcr.io:0/a", "host"), ("ghcr.io:99999/a", "host"), ("-a.b/c", "host"),
            ("a..b/c", "host"), ("[::1/x", "host"), (digits, "digest"), ("é", "ASCII"),
            (String(repeating: "a", count: 256), "255"), (String(repeating: "a", count: 5000), "1024"),
        ])
    func refused(text: String, why: String) {
        let error = #expect(throws: RegistryError.self) { try ImageReference(text) }
        #expect(error?.code == .invalidReference)
        #expect(error?.message.contains(why) == true, "\(error?.message ?? "")")
    }

    @Test("a registry is read as it is typed for login")
    func registries() throws {
        #expect(try ImageReference.registry("Registry-1.docker.io") == "docker.io")
        #expect(try ImageReference.registry("localhost:5000") == "localhost:5000")
        for text in ["", "a/b", "https://a", "a:b"] {
            #expect(throws: RegistryError.self) { try ImageReference.registry(text) }
        }
    }
}
