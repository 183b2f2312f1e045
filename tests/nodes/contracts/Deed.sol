// SPDX-License-Identifier: AGPL-3.0-or-later
pragma solidity ^0.8.20;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// An NFT: its Transfer has the signature of a token's, and four topics.
contract Deed is ERC721 {
    constructor() ERC721("Test Deed", "DEED") {}

    function mint(address to, uint256 number) external {
        _mint(to, number);
    }
}
