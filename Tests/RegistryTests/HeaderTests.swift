import Testing

@testable import Registry

/// What stands in the headers and the addresses that servers send.
@Suite struct HeaderTests {
    private func challenge(_ scheme: String, _ parameters: [String: String] = [:]) -> AuthenticationChallenge {
        AuthenticationChallenge(scheme: scheme, parameters: parameters)
    }

    @Test("challenges are read in all their forms")
    func challenges() {
        let parse = AuthenticationChallenge.parse
        #expect(
            parse(#"Bearer realm="https://a/t",service="s, \"x\"", scope="a:b:pull,push""#) == [
                challenge(
                    "bearer", ["realm": "https://a/t", "service": #"s, "x""#, "scope": "a:b:pull,push"])
            ])
        #expect(parse("Basic") == [challenge("basic")])
        #expect(parse("Basic realm=x") == [challenge("basic", ["realm": "x"])])
        #expect(
            parse("BASIC REALM = x , charset=\"UTF-8\"") == [challenge("basic", ["realm": "x", "charset": "UTF-8"])])
        #expect(
            parse("Negotiate YII==, NTLM, Basic realm=\"x\"") == [
                challenge("negotiate"), challenge("ntlm"), challenge("basic", ["realm": "x"]),
            ])
        #expect(parse("Bearer realm=\"a\", realm=\"b\"") == [challenge("bearer", ["realm": "a"])])
        #expect(parse(#"Bearer realm="open"#) == [challenge("bearer")])
        #expect(parse("").isEmpty && parse(",,, ").isEmpty && parse("\"x\"").isEmpty)
        #expect(parse("Basic " + String(repeating: "x", count: 20_000)).isEmpty)
        #expect(parse(String(repeating: "a, ", count: 1_000)).count == 16)
    }

    @Test("the time to leave a server alone is seconds or a date")
    func retryAfter() {
        #expect(RetryAfter.parse("120") == .seconds(120))
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_777 - 10) == .seconds(10))
        #expect(RetryAfter.parse("Thu, 29 Feb 2024 00:00:00 GMT", now: 1_709_164_800) == .zero)
        #expect(RetryAfter.parse("Thu, 01 Jan 1970 00:00:00 GMT", now: 0) == .zero)
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", now: 900_000_000) == .zero)
        for text in [
            "", "-1", "soon", "99999999999", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT",
        ] {
            #expect(RetryAfter.parse(text) == nil)
        }
    }

    @Test("addresses are read strictly")
    func addresses() throws {
        let address = try #require(WebAddress("HTTPS://Reg.example:5000/a?b=c#d"))
        #expect(address.text == "https://reg.example:5000/a?b=c")
        #expect(address.resolving("/x")?.text == "https://reg.example:5000/x")
        #expect(address.resolving("//o.example/x")?.text == "https://o.example/x")
        #expect(address.resolving("?n=1")?.text == "https://reg.example:5000/a?n=1")
        #expect(address.resolving("http://o.example")?.text == "http://o.example/")
        #expect(address.appending("/v2/", query: [("k", "a&b")]).text == "https://reg.example:5000/a/v2/?b=c&k=a%26b")
        #expect(WebAddress("https://h:443/")?.origin == "https://h")
        for text in [
            "", "h/x", "ftp://h/", "https://", "https:///x", "https://u@h/", "https://h:0/", "https://h:99999/",
            "https://h h/", "https://h\\/", "https://-h/", "https://h..i/", "https://[x]/", "https://[::1/",
            "https://h/\u{1}", "https://h/" + String(repeating: "a", count: 9000),
        ] {
            #expect(WebAddress(text) == nil, "\(text.prefix(40))")
        }
        for host in ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            #expect(WebAddress.isLoopback(host))
        }
        for host in ["localhost.example", "127.0.0.1.example", "127.1", "128.0.0.1", "[::2]", "127.0.0.256"] {
            #expect(!WebAddress.isLoopback(host))
        }
    }

    @Test("the next page is found")
    func links() {
        #expect(RegistryClient.next(#"</a>; rel="prev", </b?n=1&last=x>; rel="next""#) == "/b?n=1&last=x")
        #expect(RegistryClient.next("</a>; rel=next") == "/a")
        #expect(RegistryClient.next("</a; rel=next") == nil)
        #expect(RegistryClient.next("") == nil)
    }

    @Test("pauses double, up to a bound, and the server's wish stands above them")
    func pauses() {
        var settings = RegistrySettings()
        settings.firstPause = .seconds(1)
        settings.maximumPause = .seconds(8)
        for (number, longest) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (1000, 8)] {
            let pause = settings.pause(before: number, retryAfter: nil)
            #expect(pause <= .seconds(longest) && pause >= .seconds(longest) / 2)
        }
        #expect(settings.pause(before: 2, retryAfter: .seconds(30)) == .seconds(30))
    }

    @Test("mirrors are read from the environment and refused when they are none")
    func mirrors() throws {
        let settings = try RegistrySettings(environment: [
            "SWIFTLET_REGISTRY_MIRRORS": "docker.io=m.example:5000, docker.io=http://n.example/proxy ghcr.io=o.example"
        ])
        #expect(
            settings.mirrors == [
                "docker.io": ["m.example:5000", "http://n.example/proxy"], "ghcr.io": ["o.example"],
            ])
        for text in ["docker.io", "=x", "docker.io=", "docker.io=a b", "a/b=c"] {
            var settings = RegistrySettings()
            #expect(throws: RegistryError.self) { try settings.addMirror(text) }
        }
    }

    @Test("an error's words are found in what registries and token servers answer")
    func errorBodies() {
        func text(_ body: String, _ type: String? = nil) -> ErrorBody { ErrorBody(Array(body.utf8), contentType: type) }
        let registry = text(#"{"errors":[{"code":"DENIED","message":"no","detail":{"x":[1]}},{"code":"b"}]}"#)
        #expect(registry.text == "denied: no; b" && registry.codes == ["DENIED", "B"])
        #expect(text(#"{"details":"incorrect username or password"}"#).text == "incorrect username or password")
        #expect(text("plain\nwords").text == "plain words")
        #expect(text("<!DOCTYPE html>").isWebPage && text("x", "Text/HTML; charset=x").isWebPage)
        #expect(text(String(repeating: "x", count: 10_000)).text.count == 401)
        #expect(text(#"{"errors":null}"#).text.isEmpty && text("").text.isEmpty)
    }
}
