/// The commands of a client, as bytes. Nothing but validated addresses and numbers gets in here: `TransactionRequest.
/// refusal` looks at every byte of them first, so that no address can smuggle a command.
extension [UInt8] {
    mutating func append(text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(mail request: TransactionRequest, _ offers: Capabilities) {
        append(text: "MAIL FROM:<")
        if let path = request.reversePath { append(contentsOf: path.bytes) }
        append(0x3e)
        if offers.size {
            append(text: " SIZE=")
            append(decimal: request.size)
        }
        if request.body == .eightBit, offers.eightBitMIME { append(text: " BODY=8BITMIME") }
        if request.needsSMTPUTF8, offers.smtputf8 { append(text: " SMTPUTF8") }
        append(text: "\r\n")
    }

    mutating func append(recipient: Address) {
        append(text: "RCPT TO:<")
        append(contentsOf: recipient.bytes)
        append(text: ">\r\n")
    }

    mutating func append(decimal value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            append(0x30 + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}

extension TransactionRequest {
    var needsSMTPUTF8: Bool {
        smtputf8 || reversePath?.isInternationalized == true || recipients.contains { $0.isInternationalized }
    }

    /// Why this must not be sent over a connection with these offers. The caller chose the upstream by its
    /// `Capabilities`, so this is the last guard, not the place where mail is bounced in the normal course.
    func refusal(_ offers: Capabilities) -> Reply? {
        if reversePath?.isFitForCommand == false || !recipients.allSatisfy({ $0.isFitForCommand }) {
            return Reply(553, 5, 1, 3, "An address of this message can't be written into an SMTP command")
        }
        if body == .eightBit, !offers.eightBitMIME {
            return Reply(554, 5, 6, 3, "The message is 8-bit and the next server doesn't offer 8BITMIME")
        }
        if !offers.smtputf8, needsSMTPUTF8 {
            return Reply(554, 5, 6, 7, "The message needs SMTPUTF8 and the next server doesn't offer it")
        }
        return nil
    }
}

extension Address {
    /// No control byte, and short enough for a command line (RFC 5321 §4.5.3.1 has 256; we relay what we accepted).
    fileprivate var isFitForCommand: Bool {
        guard !bytes.isEmpty, bytes.count <= 900 else { return false }
        for byte in bytes where byte < 0x20 || byte == 0x7f { return false }
        return true
    }
}
